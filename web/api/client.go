// Package api is the JSON API of a daemon as its clients know it: what it says of
// machines, images, leases and servers, what it is asked for, and the [Client] that
// asks. Package web answers. Start reading at [Machine] and [Client].
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"cloudlets/web/sse"
)

// Failure is the body of every answer that is an error.
type Failure struct {
	// Error says in one sentence what was requested, what is wrong with it,
	// and what to do.
	Error string `json:"error"`
}

// ErrNoDaemon is the error of a [Client] if no daemon listens on the socket. The
// error that wraps it names the socket and says what to do.
var ErrNoDaemon = errors.New("no daemon")

// RefusedError is the daemon's answer to a request that it refused.
type RefusedError struct {
	// Status is the HTTP status of the answer: 404 if the machine is unknown,
	// 409 if the install cannot be armed or cancelled.
	Status int
	// Message is the daemon's explanation.
	Message string
}

func (e *RefusedError) Error() string { return e.Message }

const (
	// maxAnswer bounds an answer, in bytes. The largest are all events of a
	// machine, and a page of [roster.MaxLimit] machines.
	maxAnswer = 64 << 20
	// maxMachines bounds the table of all machines.
	maxMachines = 1_000_000
	// maxRefusal bounds the answer to a request that is refused, in bytes.
	maxRefusal = 16 << 10
	// answerTimeout is how long the daemon may take to begin an answer.
	answerTimeout = 30 * time.Second
)

// Client asks a daemon. Its methods take a machine's MAC address in any form, or
// its hostname in the site if no other machine has the same one.
type Client struct {
	http  http.Client
	again time.Duration // pause before reconnecting a broken stream
}

// NewClient makes a client of the daemon that listens on a Unix socket.
func NewClient(socketPath string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", socketPath)
		if err != nil {
			return nil, dialError(socketPath, err)
		}
		return conn, nil
	}
	return NewClientTransport(&http.Transport{DialContext: dial, ResponseHeaderTimeout: answerTimeout, DisableCompression: true})
}

// NewClientTransport makes a client that reaches the daemon in another way. The
// host of its requests is "localhost".
func NewClientTransport(transport http.RoundTripper) *Client {
	return &Client{http: http.Client{Transport: transport}, again: sse.RetryAfter}
}

// dialError says what to do if no daemon answers on a socket.
func dialError(socketPath string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), isMissing(socketPath):
		return fmt.Errorf("%w: no cloudlets daemon answers at %s; start it with `cloudlets serve` or name its socket with --socket", ErrNoDaemon, socketPath)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not open the socket %s; use the user that runs the daemon, or root: %w", socketPath, err)
	}
	return fmt.Errorf("connect to the daemon at %s: %w", socketPath, err)
}

// isMissing says whether the socket does not exist. On some systems the error of
// a dial does not tell.
func isMissing(socketPath string) bool {
	_, err := os.Stat(socketPath)
	return errors.Is(err, fs.ErrNotExist)
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func machinePath(machine, what string) string {
	path := "machines/" + url.PathEscape(machine)
	if what != "" {
		path += "/" + what
	}
	return path
}

// do makes one request and reads the whole answer into value.
func (c *Client) do(ctx context.Context, method, path string, body, value any) error {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("ask the daemon: %w", err)
		}
		sent = bytes.NewReader(text)
	}
	request, err := newRequest(ctx, method, path, sent)
	if err != nil {
		return err
	}
	answer, err := c.send(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(value); err != nil {
		return fmt.Errorf("read the daemon's answer to %s %s: %w", method, path, err)
	}
	return nil
}

func newRequest(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost/api/v1/"+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	return request, nil
}

// send returns a successful answer. The caller closes its body.
func (c *Client) send(request *http.Request) (*http.Response, error) {
	answer, err := c.http.Do(request)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // the URL means nothing to the user
		}
		if errors.Is(err, ErrNoDaemon) {
			return nil, err
		}
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	if answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusSwitchingProtocols {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, refusedError(answer)
}

func refusedError(answer *http.Response) error {
	var failure Failure
	err := json.NewDecoder(io.LimitReader(answer.Body, maxRefusal)).Decode(&failure)
	if err != nil || failure.Error == "" {
		failure.Error = fmt.Sprintf("the daemon answered %s and gave no reason; does it have another version?", answer.Status)
	}
	return &RefusedError{answer.StatusCode, failure.Error}
}
