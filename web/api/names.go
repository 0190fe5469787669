package api

import (
	"context"
	"net/http"
)

// Names are words that people give to verbs, each list sorted: what shells complete. There
// are at most [MaxNames] of each.
type Names struct {
	Profiles []string `json:"profiles"`
	Images   []string `json:"images"`
	Tags     []string `json:"tags"`
}

// MaxNames bounds each list of [Names].
const MaxNames = 1000

// Names returns the names of profiles, images and tags of the daemon's site.
func (c *Client) Names(ctx context.Context) (names Names, err error) {
	return names, c.do(ctx, http.MethodGet, "names", nil, &names)
}
