package api

import (
	"context"
	"net/http"
	"time"
)

// Servers returns the servers that share the daemon's store.
func (c *Client) Servers(ctx context.Context) (list Servers, err error) {
	return list, c.do(ctx, http.MethodGet, "servers", nil, &list)
}

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
