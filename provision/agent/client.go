package agent

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
	"cloudlets/provision"
	"cloudlets/provision/failover"
	"cloudlets/provision/wire"
)

// maxAnswer is how many bytes of an answer are read at most.
const maxAnswer = 16 << 20

// patience is how long the agent repeats a request that the server does not
// answer. That is long enough to restart or move the server.
const patience = 10 * time.Minute

// firstWait is the pause before a request is sent again. Each further pause is
// twice as long as the one before, up to maxWait.
const (
	firstWait = 200 * time.Millisecond
	maxWait   = 5 * time.Second
)

// client speaks to the server that booted the machine, or to another one that
// shares its store.
type client struct {
	base    string
	http    *http.Client
	servers *failover.Transport // below http; nil if there is only base
	session string
	log     *slog.Logger
	// patience is how long a request is repeated until it is answered.
	patience time.Duration
}

func newClient(base string, log *slog.Logger) *client {
	return &client{base: strings.TrimSuffix(base, "/"), http: http.DefaultClient, log: log, patience: patience}
}

// newClientOf returns a client of several servers. With trust, it accepts https
// servers that this authority vouches for.
func newClientOf(bases []string, trust *x509.Certificate, log *slog.Logger) (*client, error) {
	return newClientBy(newTransport(trust), bases, log)
}

// newClientBy returns a client of several servers that sends its requests by a transport.
func newClientBy(transport http.RoundTripper, bases []string, log *slog.Logger) (*client, error) {
	s, err := failover.New(transport, log, bases...)
	if err != nil {
		return nil, err
	}
	c := newClient(bases[0], log)
	c.http, c.servers = &http.Client{Transport: s}, s
	return c, nil
}

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

// refusal is an error that repeating the request would not change.
type refusal struct{ text string }

func (r refusal) Error() string { return r.text }

// claim exchanges the token for the plan. Further requests of the client use
// the plan's session.
func (c *client) claim(ctx context.Context, p wire.Params, inventory provision.Inventory) (wire.Plan, error) {
	request := wire.ClaimRequest{Token: p.Token, Nonce: rand.Text(), MAC: p.MAC, Inventory: inventory}
	answer, err := c.post(ctx, wire.ClaimPath, request)
	if err != nil {
		return wire.Plan{}, fmt.Errorf("claim the plan of %s from %s: %w", p.MAC, c.base, err)
	}
	var plan wire.Plan
	if err := json.Unmarshal(answer, &plan); err != nil {
		return wire.Plan{}, fmt.Errorf("read the plan of %s: %w", p.MAC, err)
	}
	if card := cmp.Or(plan.Card, plan.MAC); card != p.MAC {
		return wire.Plan{}, fmt.Errorf("claim the plan of %s from %s: it is that of %s: nothing is written", p.MAC, c.base, card)
	}
	c.session = plan.Session
	if c.servers != nil {
		if err := c.servers.Add(plan.Servers...); err != nil {
			return wire.Plan{}, fmt.Errorf("read the plan of %s: %w", p.MAC, err)
		}
	}
	return plan, nil
}

// sendPatience is how long the agent tries to tell the server what its console shows. It
// goes on without: a person at the machine sees it anyway.
const sendPatience = 15 * time.Second

// sendConsole tells the server what the console has shown, and why the agent cannot
// claim its plan, if it cannot. It does so before the token is claimed.
func (c *client) sendConsole(ctx context.Context, p wire.Params, console *console, failure error) {
	said := wire.Console{Token: p.Token, MAC: p.MAC, Lines: console.take()}
	if failure != nil {
		said.Failure = failure.Error()
	}
	ctx, stop := context.WithTimeout(ctx, sendPatience)
	defer stop()
	if _, err := c.post(ctx, wire.ConsolePath, said); err != nil {
		c.log.Warn("the server was not told what this console shows", "error", err)
	}
}

// post sends a value as JSON and returns the answer. It repeats the request
// while the server does not answer, or reports a fault of its own.
func (c *client) post(ctx context.Context, path string, value any) ([]byte, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return c.retry(ctx, func() ([]byte, error) {
		return c.do(ctx, http.MethodPost, path, body)
	})
}

// maxDamaged is how often fetch gets a damaged blob before it gives up.
const maxDamaged = 3

// fetch reads a blob of up to maxAnswer bytes into memory and checks its digest. A blob that
// is damaged is fetched again. For what may be larger see [installer.fetchLarge].
func (c *client) fetch(ctx context.Context, blob wire.Blob) ([]byte, error) {
	var got string
	for range maxDamaged {
		data, err := c.retry(ctx, func() ([]byte, error) {
			return c.do(ctx, http.MethodGet, blob.Path, nil)
		})
		if err != nil {
			return nil, fmt.Errorf("fetch %s from %s: %w", blob.Path, c.base, err)
		}
		sum := sha256.Sum256(data)
		if got = "sha256:" + hex.EncodeToString(sum[:]); got == blob.Digest {
			return data, nil
		}
		c.log.Warn("a file came damaged", "file", blob.Path, "digest", got, "want", blob.Digest)
	}
	return nil, fmt.Errorf("fetch %s from %s: its digest is %s and should be %s, %d times: the file, or a cache or a line on its way, is broken", blob.Path, c.base, got, blob.Digest, maxDamaged)
}

// retry calls try until it returns an answer or a refusal. It gives up when
// c.patience is over or ctx ends.
func (c *client) retry(ctx context.Context, try func() ([]byte, error)) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, c.patience)
	defer stop()
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		answer, err := try()
		var no refusal
		if err == nil || errors.As(err, &no) {
			return answer, err
		}
		c.log.Warn("the server did not answer; asking again", "error", err)
		if stopped := pause(ctx, wait); stopped != nil {
			return nil, fmt.Errorf("gave up asking the server: %w: %w", stopped, err)
		}
	}
}

func (c *client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, refusal{err.Error()}
	}
	request.Header.Set("Content-Type", "application/json")
	if c.session != "" {
		request.Header.Set("Authorization", "Bearer "+c.session)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if len(answer) > maxAnswer {
		return nil, refusal{fmt.Sprintf("%s %s: the answer has more than %s", method, path, bytesize.Binary(maxAnswer))}
	}
	return answer, judge(response, strings.TrimSpace(string(answer)))
}

// judge returns nil if the status of a response means success. Otherwise it
// returns an error, which is a refusal if the status is 4xx. Three of these
// are no refusals, since they mean "not now": 408, 425 and 429 (RFC 9110,
// 15.5.9; RFC 8470, 5.2; RFC 6585, 4).
func judge(response *http.Response, text string) error {
	if response.StatusCode/100 == 2 {
		return nil
	}
	err := fmt.Errorf("%s %s: %s: %s", response.Request.Method, response.Request.URL.Path, response.Status, text)
	switch response.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return err
	}
	if response.StatusCode/100 != 4 {
		return err
	}
	if text == "" {
		return refusal{err.Error()}
	}
	return refusal{text}
}

// pause returns after d, or with an error when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
