package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// Backup writes a copy of the daemon's store, as it is now.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	request, err := newRequest(ctx, http.MethodGet, "backup", nil)
	if err != nil {
		return err
	}
	answer, err := c.send(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(w, answer.Body); err != nil {
		return fmt.Errorf("read the daemon's backup: %w", err)
	}
	return nil
}

// Problems returns the mistakes in the site's files.
func (c *Client) Problems(ctx context.Context) (problems []jsontext.Problem, err error) {
	return problems, c.do(ctx, http.MethodGet, "problems", nil, &problems)
}

// Status returns the daemon's state.
func (c *Client) Status(ctx context.Context) (st Status, err error) {
	return st, c.do(ctx, http.MethodGet, "status", nil, &st)
}

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
