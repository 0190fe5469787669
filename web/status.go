package web

import (
	"net/http"
	"time"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// Status is the state of the daemon.
type Status struct {
	Version string    `json:"version"`
	Site    string    `json:"site"` // the site's folder
	Started time.Time `json:"started,omitzero"`
	// Uptime is in seconds.
	Uptime   float64 `json:"uptime"`
	Machines Counts  `json:"machines"`
	Images   int     `json:"images"`
	Problems int     `json:"problems"`
}

// Counts are numbers of machines. A machine may be counted in several.
type Counts struct {
	All        int `json:"all"`
	Installing int `json:"installing"`
	Installed  int `json:"installed"`
	Failed     int `json:"failed"`
	// Waiting counts the machines whose next boot installs.
	Waiting   int `json:"waiting"`
	Strangers int `json:"strangers"`
}

func (s *Server) status(*http.Request) (any, error) {
	st := Status{
		Version: s.Version, Site: s.Site.Dir(), Started: s.Started,
		Machines: count(s.table()), Images: len(s.Site.Images()), Problems: len(s.Site.Problems()),
	}
	if !s.Started.IsZero() {
		st.Uptime = seconds(s.now().Sub(s.Started))
	}
	return st, nil
}

func count(table []Machine) Counts {
	c := Counts{All: len(table)}
	for _, m := range table {
		c.Installing += one(m.Installing)
		c.Installed += one(m.Stage == provision.StageInstalled)
		c.Failed += one(m.Stage == provision.StageFailed)
		c.Waiting += one(m.Next.Action == provision.ActionInstall && !m.Installing)
		c.Strangers += one(!m.Described)
	}
	return c
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// problems answers with the mistakes in the site's files.
func (s *Server) problems(*http.Request) (any, error) { return s.problemList(), nil }

func (s *Server) problemList() []jsontext.Problem {
	if problems := s.Site.Problems(); problems != nil {
		return problems
	}
	return []jsontext.Problem{}
}
