package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"cloudlets/provision"
)

// maxTries is how often in a row a broken stream is taken up again in vain.
const maxTries = 30

// Follow calls visit with the events of one machine, or of all where machine
// is "": first those that are kept with IDs above after, then each as it
// comes. An event that comes again with the same ID and a higher count
// replaces the earlier one.
//
// It goes on where the daemon is restarted meanwhile, and ends with the first
// error of visit, with ctx, or when the daemon stays away.
func (c *Client) Follow(ctx context.Context, machine string, after uint64, visit func(provision.Event) error) error {
	f := follower{path: followPath(machine, after), visit: visit}
	for tries := 0; ; tries++ {
		f.news = false
		err := c.followOnce(ctx, &f)
		if err := ctx.Err(); err != nil {
			return err
		}
		if stop, ok := errors.AsType[*finalError](err); ok {
			return stop.error
		}
		if f.news {
			tries = 0
		}
		_, refused := errors.AsType[*RefusedError](err)
		if refused || !f.begun || tries >= maxTries {
			return err
		}
		pause(ctx, c.again)
	}
}

func followPath(machine string, after uint64) string {
	path := "events"
	if machine != "" {
		path = machinePath(machine, "follow")
	}
	return path + "?after=" + strconv.FormatUint(after, 10)
}

// follower is what lasts from one connection to the next.
type follower struct {
	path  string
	visit func(provision.Event) error
	begun bool // the daemon has answered once
	news  bool // the present connection brought something
	last  string
	sent  sent
}

// finalError is one that another connection would not mend: that of the
// function that is called with the events, or of an event that is none.
type finalError struct{ error }

// followOnce follows until the connection ends.
func (c *Client) followOnce(ctx context.Context, f *follower) error {
	request, err := newRequest(ctx, http.MethodGet, f.path, nil)
	if err != nil {
		return err
	}
	if f.last != "" {
		request.Header.Set("Last-Event-ID", f.last)
	}
	answer, err := c.send(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	f.begun = true
	messages := newMessageReader(answer.Body)
	for {
		m, err := messages.next()
		if err != nil {
			return fmt.Errorf("the daemon closed the stream of events: %w", err)
		}
		if err := f.take(m); err != nil {
			return err
		}
	}
}

// take passes one message on, unless it was there before.
func (f *follower) take(m message) error {
	if m.name != "" {
		return nil // of a kind that this version does not know
	}
	var e provision.Event
	if err := json.Unmarshal(m.data, &e); err != nil {
		return &finalError{fmt.Errorf("read an event of the daemon: %w; is it one of another version?", err)}
	}
	if m.id != "" {
		f.last = m.id
	}
	if !f.sent.isNews(e) {
		return nil
	}
	f.news = true
	if err := f.visit(e); err != nil {
		return &finalError{err}
	}
	return nil
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
