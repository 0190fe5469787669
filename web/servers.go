package web

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// ServerInfo is one of the servers that share a store.
type ServerInfo struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	URL     string    `json:"url"` // where machines reach it
	Version string    `json:"version"`
	Started time.Time `json:"started,omitzero"`
	// Self says that this one answers.
	Self bool `json:"self"`
	// Site is the digest of what its copy of the site says of machines, and
	// SiteDiffers that this is not what the copy of this server says.
	Site        string `json:"site"`
	SiteDiffers bool   `json:"siteDiffers"`
}

// Servers are those that share the store.
type Servers struct {
	Servers []ServerInfo `json:"servers"`
	// StoreAway says since when this server cannot reach the store, and
	// StoreError why.
	StoreAway  time.Time `json:"storeAway,omitzero"`
	StoreError string    `json:"storeError,omitempty"`
	// Warnings say in a sentence each what is wrong with the servers as a whole,
	// and what to do.
	Warnings []string `json:"warnings,omitempty"`
}

// servers answers with the servers that are alive.
func (s *Server) servers(*http.Request) (any, error) { return s.serverList(), nil }

func (s *Server) serverList() Servers {
	list := Servers{Servers: []ServerInfo{}}
	if s.StoreAway != nil {
		since, cause := s.StoreAway()
		if list.StoreAway = since; cause != nil {
			list.StoreError = cause.Error()
		}
	}
	if s.Servers != nil {
		self := s.Servers.Self()
		for _, m := range s.Servers.Live() {
			list.Servers = append(list.Servers, ServerInfo{
				ID: m.ID, Name: m.Name, URL: m.URL, Version: m.Version, Started: m.Started,
				Self: m.ID == self.ID, Site: m.Site, SiteDiffers: m.Site != self.Site,
			})
		}
	}
	list.Warnings = warnings(list, s.now())
	return list
}

func warnings(list Servers, now time.Time) (texts []string) {
	if !list.StoreAway.IsZero() {
		texts = append(texts, fmt.Sprintf("the store cannot be reached for %s, so nothing new is given or armed: %s",
			now.Sub(list.StoreAway).Round(time.Second), list.StoreError))
	}
	if slices.ContainsFunc(list.Servers, func(s ServerInfo) bool { return s.SiteDiffers }) {
		texts = append(texts, "copies of the site differ, and a machine gets what the server says that answers it: make them the same; `cloudlets servers` lists them")
	}
	return texts
}
