package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/web/sse"
)

// maxTries is how often in a row reconnecting a broken stream may bring nothing.
const maxTries = 30

// Follow calls visit with the events of one machine, or of all machines if
// machine is "". It begins with the kept events with IDs above after, and goes
// on with new ones as they come. An event with the ID of an earlier one and a
// higher count replaces that.
//
// Follow reconnects if the daemon is restarted. It ends with the first error of
// visit, with ctx, or if the daemon does not come back.
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
		if err := pause.For(ctx, c.again); err != nil {
			return err
		}
	}
}

func followPath(machine string, after uint64) string {
	path := "events"
	if machine != "" {
		path = machinePath(machine, "follow")
	}
	return path + "?after=" + strconv.FormatUint(after, 10)
}

// follower is the state that lasts from one connection to the next.
type follower struct {
	path  string
	visit func(provision.Event) error
	begun bool // the daemon has answered once
	news  bool // the present connection brought something
	last  string
	sent  Seen
}

// finalError is an error that reconnecting cannot mend: visit failed, or an
// event cannot be read.
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
	messages := sse.NewReader(answer.Body)
	for {
		m, err := messages.Next()
		if err != nil {
			return fmt.Errorf("the daemon closed the stream of events: %w", err)
		}
		if err := f.take(m); err != nil {
			return err
		}
	}
}

// take passes the event in a message to visit, unless visit has seen it.
func (f *follower) take(m sse.Message) error {
	if m.Name != "" {
		return nil // this version does not know the kind of message
	}
	var e provision.Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return &finalError{fmt.Errorf("read an event of the daemon: %w; does it have another version?", err)}
	}
	if m.ID != "" {
		f.last = m.ID
	}
	if !f.sent.IsNews(e) {
		return nil
	}
	f.news = true
	if err := f.visit(e); err != nil {
		return &finalError{err}
	}
	return nil
}
