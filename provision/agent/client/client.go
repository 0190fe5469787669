// Package client is how the agent on a machine speaks to the servers that booted it. It asks
// what to do, claims a plan, fetches files and tells what happens, each again and again
// until a server answers. It trusts only the authority that its RAM disk names. What is said
// stands in the package wire. Start reading at [Client].
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"cloudlets/images/bytesize"
	"cloudlets/images/pause"
	"cloudlets/images/retryafter"
	"cloudlets/provision"
	"cloudlets/provision/failover"
	"cloudlets/provision/wire"
)

// maxAnswer is how many bytes of an answer are read at most.
const maxAnswer = 16 << 20

// Patience is how long the agent repeats a request that the server does not
// answer. That is long enough to restart or move the server.
const Patience = 10 * time.Minute

// firstWait is the pause before a request is sent again. Each further pause is
// twice as long as the one before, up to maxWait. A server that is busy may ask for a
// longer one, see [retryafter]. Before a request is given up it is made once
// more, lastTry before the end.
const (
	firstWait = 200 * time.Millisecond
	maxWait   = 5 * time.Second
	lastTry   = time.Second
)

// Client speaks to the server that booted the machine, or to another one that
// shares its store. It is for one goroutine at a time until it has its session, and for many
// after that, while nobody claims or asks.
type Client struct {
	// Base is the URL before the path of each request, without a slash at its end.
	Base string
	// HTTP sends the requests, and may fetch other files of the same servers.
	HTTP *http.Client
	// Session goes with each request; "" means none. Claim sets it.
	Session string
	// Patience is how long a request is repeated until it is answered. It is [Patience] at
	// first.
	Patience time.Duration

	servers *failover.Transport // below HTTP; nil if there is only Base
	log     *slog.Logger
}

// New returns a client of one server, which sends its requests by [http.DefaultClient].
func New(base string, log *slog.Logger) *Client {
	return &Client{Base: strings.TrimSuffix(base, "/"), HTTP: http.DefaultClient, log: log, Patience: Patience}
}

// NewOf returns a client of several servers, of which the first one is asked first. With
// trust, it accepts https servers that this authority vouches for. It returns an error if one
// of bases is no http URL.
func NewOf(bases []string, trust *x509.Certificate, log *slog.Logger) (*Client, error) {
	return NewBy(newTransport(trust), bases, log)
}

// NewBy is [NewOf] with a transport of the caller's own, which may need addresses or bounds
// of its own.
func NewBy(transport http.RoundTripper, bases []string, log *slog.Logger) (*Client, error) {
	s, err := failover.New(transport, log, bases...)
	if err != nil {
		return nil, err
	}
	c := New(bases[0], log)
	c.HTTP, c.servers = &http.Client{Transport: s}, s
	return c, nil
}

// NewTransport returns what sends the requests of a client of one server, for
// [Client.HTTP]. It accepts https servers that trust vouches for, and none if trust is nil.
func NewTransport(trust *x509.Certificate) http.RoundTripper { return newTransport(trust) }

// newTransport returns a transport that bounds the wait for a connection and for
// the header of a response, but not the whole request, since a large pack may take
// long.
func newTransport(trust *x509.Certificate) *proving {
	return &proving{trust: trust, next: &http.Transport{
		TLSClientConfig:       trusting(trust),
		TLSHandshakeTimeout:   30 * time.Second,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   4,
		DisableCompression:    true,
	}}
}

// Refusal is an error that repeating the request would not change.
type Refusal struct {
	Text string // what the server said, for a person
}

// Error implements error.
func (r Refusal) Error() string { return r.Text }

// Claim exchanges the token for the plan. Further requests of the client use
// the plan's session, and may go to the servers that the plan names. A plan of another machine
// is an error.
func (c *Client) Claim(ctx context.Context, p wire.Params, inventory provision.Inventory) (wire.Plan, error) {
	request := wire.ClaimRequest{Token: p.Token, Nonce: rand.Text(), MAC: p.MAC, Inventory: inventory}
	answer, err := c.Post(ctx, wire.ClaimPath, request)
	if err != nil {
		return wire.Plan{}, fmt.Errorf("claim the plan of %s from %s: %w", p.MAC, c.Base, err)
	}
	var plan wire.Plan
	if err := json.Unmarshal(answer, &plan); err != nil {
		return wire.Plan{}, fmt.Errorf("read the plan of %s: %w", p.MAC, err)
	}
	if card := cmp.Or(plan.Card, plan.MAC); card != p.MAC {
		return wire.Plan{}, fmt.Errorf("claim the plan of %s from %s: it is that of %s: nothing is written", p.MAC, c.Base, card)
	}
	c.Session = plan.Session
	if err := c.AddServers(plan.Servers...); err != nil {
		return wire.Plan{}, fmt.Errorf("read the plan of %s: %w", p.MAC, err)
	}
	return plan, nil
}

// AddServers lets further requests go to more servers, if the first ones do not answer. It
// does nothing to a client that [New] made, which has one server.
func (c *Client) AddServers(bases ...string) error {
	if c.servers == nil {
		return nil
	}
	return c.servers.Add(bases...)
}

// LeaveServer has further requests go to another server than the present one, because of a
// cause. It does nothing to a client that has one server.
func (c *Client) LeaveServer(cause error) {
	if c.servers != nil {
		c.servers.Leave(cause)
	}
}

// tellPatience is how long [Client.Tell] tries.
const tellPatience = 15 * time.Second

// Tell sends a value as JSON, as [Client.Post] does, but gives up after a short time. It is
// for what the machine goes on without: a person at the machine sees it anyway.
func (c *Client) Tell(ctx context.Context, path string, value any) error {
	ctx, stop := context.WithTimeout(ctx, tellPatience)
	defer stop()
	_, err := c.Post(ctx, path, value)
	return err
}

// Post sends a value as JSON and returns the answer. It repeats the request
// while the server does not answer, or reports a fault of its own, for as long as
// [Client.Patience] says. The error is a [Refusal] if the server refused it.
func (c *Client) Post(ctx context.Context, path string, value any) ([]byte, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return c.retry(ctx, func() ([]byte, error) {
		return c.do(ctx, http.MethodPost, path, body)
	})
}

// MaxDamaged is how often Fetch gets a damaged blob before it gives up.
const MaxDamaged = 3

// Fetch reads a blob of up to 16 MiB into memory and checks its digest. A blob that
// is damaged is fetched again.
func (c *Client) Fetch(ctx context.Context, blob wire.Blob) ([]byte, error) {
	var got string
	for range MaxDamaged {
		data, err := c.retry(ctx, func() ([]byte, error) {
			return c.do(ctx, http.MethodGet, blob.Path, nil)
		})
		if err != nil {
			return nil, fmt.Errorf("fetch %s from %s: %w", blob.Path, c.Base, err)
		}
		sum := sha256.Sum256(data)
		if got = "sha256:" + hex.EncodeToString(sum[:]); got == blob.Digest {
			return data, nil
		}
		c.log.Warn("a file came damaged", "file", blob.Path, "digest", got, "want", blob.Digest)
	}
	return nil, fmt.Errorf("fetch %s from %s: its digest is %s and should be %s, %d times: the file, or a cache or a line on its way, is broken", blob.Path, c.Base, got, blob.Digest, MaxDamaged)
}

// retry calls try until it returns an answer or a [Refusal]. It gives up when
// c.Patience is over or ctx ends.
func (c *Client) retry(ctx context.Context, try func() ([]byte, error)) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, c.Patience)
	defer stop()
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		answer, err := try()
		var no Refusal
		if err == nil || errors.As(err, &no) {
			return answer, err
		}
		c.log.Warn("the server did not answer; asking again", "error", err)
		if stopped := pause.For(ctx, fitting(ctx, max(wait, askedPause(err)))); stopped != nil {
			return nil, fmt.Errorf("gave up asking the server: %w: %w", stopped, err)
		}
	}
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, method, c.Base+path, bytes.NewReader(body))
	if err != nil {
		return nil, Refusal{err.Error()}
	}
	request.Header.Set("Content-Type", "application/json")
	if c.Session != "" {
		request.Header.Set("Authorization", "Bearer "+c.Session)
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if len(answer) > maxAnswer {
		return nil, Refusal{fmt.Sprintf("%s %s: the answer has more than %s", method, path, bytesize.Binary(maxAnswer))}
	}
	return answer, judge(response, strings.TrimSpace(string(answer)))
}

// fitting is a pause that leaves time for another request before ctx ends, unless there is
// none left.
func fitting(ctx context.Context, wait time.Duration) time.Duration {
	end, bounded := ctx.Deadline()
	if left := time.Until(end) - lastTry; bounded && left > 0 {
		return min(wait, left)
	}
	return wait
}

// busyError is the error of a request that may be sent again. after is how long the server
// wants the client to wait before that, or 0.
type busyError struct {
	error
	after time.Duration
}

func (e busyError) Unwrap() error { return e.error }

// askedPause is how long the server wants the client to wait before it asks again, and up
// to half as long besides, so that a thousand machines that were refused at once do not
// come back at once. It is 0 if the server named no time.
func askedPause(err error) time.Duration {
	busy, is := errors.AsType[busyError](err)
	if !is {
		return 0
	}
	return retryafter.Spread(busy.after)
}

// judge returns nil if the status of a response means success. Otherwise it
// returns an error, which is a [Refusal] if the status is 4xx. Three of these
// are no refusals, since they mean "not now": 408, 425 and 429 (RFC 9110,
// 15.5.9; RFC 8470, 5.2; RFC 6585, 4).
func judge(response *http.Response, text string) error {
	if response.StatusCode/100 == 2 {
		return nil
	}
	err := fmt.Errorf("%s %s: %s: %s", response.Request.Method, response.Request.URL.Path, response.Status, text)
	switch response.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return busyError{err, retryafter.Of(response.Header)}
	}
	if response.StatusCode/100 != 4 {
		return busyError{err, retryafter.Of(response.Header)}
	}
	if text == "" {
		return Refusal{err.Error()}
	}
	return Refusal{text}
}
