package web

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/roster"
	"cloudlets/web/shown"
)

func (s *Server) status(*http.Request) (any, error) {
	st := api.Status{
		Version: s.Version, Site: s.Site.Dir(), Started: s.Started,
		Machines: s.counts(), Images: len(s.Site.Images()), Problems: len(s.Site.Problems()),
	}
	if !s.Started.IsZero() {
		st.Uptime = shown.Seconds(s.now().Sub(s.Started))
	}
	return st, nil
}

func (s *Server) counts() api.Counts {
	lists := s.Roster.Counts()
	c := api.Counts{
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

func (s *Server) names(*http.Request) (any, error) {
	first := func(names []string) []string {
		if names == nil {
			return []string{}
		}
		return names[:min(len(names), api.MaxNames)]
	}
	return api.Names{Profiles: first(s.Site.Profiles()), Images: first(s.Site.Images()), Tags: first(s.Site.Tags())}, nil
}

// networks answers with the networks.
func (s *Server) networks(*http.Request) (any, error) { return s.networkList(), nil }

func (s *Server) networkList() api.Networks {
	if s.Networks == nil {
		return api.Networks{Networks: []api.NetworkInfo{}}
	}
	return s.Networks()
}

// servers answers with the servers that are alive.
func (s *Server) servers(*http.Request) (any, error) { return s.serverList(), nil }

func (s *Server) serverList() api.Servers {
	list := api.Servers{Servers: []api.ServerInfo{}}
	if s.StoreAway != nil {
		since, cause := s.StoreAway()
		if list.StoreAway = since; cause != nil {
			list.StoreError = cause.Error()
		}
	}
	if s.Servers != nil {
		self := s.Servers.Self()
		for _, m := range s.Servers.Live() {
			list.Servers = append(list.Servers, api.ServerInfo{
				ID: m.ID, Name: m.Name, URL: m.URL, Version: m.Version, Started: m.Started,
				Self: m.ID == self.ID, Site: m.Site, SiteDiffers: m.Site != self.Site,
			})
		}
	}
	list.Warnings = warnings(list, s.now())
	return list
}

func warnings(list api.Servers, now time.Time) (texts []string) {
	if !list.StoreAway.IsZero() {
		texts = append(texts, fmt.Sprintf("the store cannot be reached for %s, so nothing new is given or armed: %s",
			now.Sub(list.StoreAway).Round(time.Second), list.StoreError))
	}
	if slices.ContainsFunc(list.Servers, func(s api.ServerInfo) bool { return s.SiteDiffers }) {
		texts = append(texts, "copies of the site differ, and a machine gets what the server says that answers it: make them the same; `cloudlets servers` lists them")
	}
	return texts
}
