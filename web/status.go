package web

import (
	"net/http"
	"time"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/web/roster"
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
	// Outdated counts those with another system than they shall have, Quiet those that
	// were not heard for too long.
	Outdated int `json:"outdated"`
	Quiet    int `json:"quiet"`
	// Stages has each stage in which a machine is. Its numbers add up to All.
	Stages map[provision.Stage]int `json:"stages"`
}

func (s *Server) status(*http.Request) (any, error) {
	st := Status{
		Version: s.Version, Site: s.Site.Dir(), Started: s.Started,
		Machines: s.counts(), Images: len(s.Site.Images()), Problems: len(s.Site.Problems()),
	}
	if !s.Started.IsZero() {
		st.Uptime = seconds(s.now().Sub(s.Started))
	}
	return st, nil
}

func (s *Server) counts() Counts {
	lists := s.Roster.Counts()
	c := Counts{
		All: lists[roster.All], Installing: lists[roster.Installing], Waiting: lists[roster.Waiting], Strangers: lists[roster.Strangers], Outdated: lists[roster.Outdated], Quiet: lists[roster.Quiet],
		Stages: make(map[provision.Stage]int),
	}
	for _, stage := range roster.Stages() {
		if n := lists[roster.List(stage)]; n > 0 {
			c.Stages[stage] = n
		}
	}
	c.Installed, c.Failed = c.Stages[provision.StageInstalled], c.Stages[provision.StageFailed]
	return c
}

// problems answers with the mistakes in the site's files.
func (s *Server) problems(*http.Request) (any, error) { return s.problemList(), nil }

func (s *Server) problemList() []jsontext.Problem {
	if problems := s.Site.Problems(); problems != nil {
		return problems
	}
	return []jsontext.Problem{}
}
