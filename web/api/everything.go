package api

import "cloudlets/images/jsontext"

// Everything is all that the page shows.
type Everything struct {
	MachinePage
	Images []Image `json:"images"`
	// Problems are the first of the mistakes in the site's files, and
	// ProblemCount says how many there are.
	Problems     []jsontext.Problem `json:"problems"`
	ProblemCount int                `json:"problemCount"`
	Servers      Servers            `json:"servers"`
	Networks     Networks           `json:"networks"`
}
