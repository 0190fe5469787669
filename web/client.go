package web

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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/web/roster"
)

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
	return &Client{http: http.Client{Transport: transport}, again: retryAfter}
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

// Machines returns all machines that a query selects, in its order, from all pages.
// Columns are the keys in JSON of what is asked about each, beside its MAC; without any it
// is everything.
func (c *Client) Machines(ctx context.Context, q roster.Query, columns ...string) ([]Machine, error) {
	names := q.Names
	if len(strings.Join(names, "")) > roster.MaxNamesText { // look for them here
		q.Names = nil
	}
	// Machines move while the pages are read. In ascending order a machine that reports
	// moves to a later page, and in descending order to one that was read already.
	backwards := q.Descending
	q.Descending, q.Limit = false, roster.MaxLimit
	if len(columns) > 0 {
		columns = append([]string{"mac", "hostname"}, columns...)
	}
	table, err := c.allPages(ctx, q, columns)
	if err != nil {
		return nil, err
	}
	if q.Names == nil && names != nil {
		set, err := roster.ParseNames(names)
		if err != nil {
			return nil, err
		}
		table = slices.DeleteFunc(table, func(m Machine) bool { return !set.Has(m.Hostname, m.MAC) })
	}
	if backwards {
		slices.Reverse(table)
	}
	return table, nil
}

// allPages returns the machines of all pages. One that comes twice, since it got another
// place meanwhile, is in the later one. The daemon makes a page while the one before is
// read.
func (c *Client) allPages(ctx context.Context, q roster.Query, columns []string) ([]Machine, error) {
	ctx, cancel := context.WithCancel(ctx) // ends a request whose answer is not read
	defer cancel()
	places := make(map[provision.MAC]int)
	table, gone := []Machine{}, 0
	for asked := c.askPage(ctx, q, columns); ; {
		answer := <-asked
		if answer.err != nil {
			return nil, answer.err
		}
		ahead := answer.next
		if ahead != "" {
			q.After = ahead
			asked = c.askPage(ctx, q, columns)
		}
		table = slices.Grow(table, q.Limit)
		page, err := answer.page(table[len(table):])
		if err != nil {
			return nil, err
		}
		begun := len(table)
		table = append(table, page.Machines...) // they are there already, if there was room
		if begun == 0 && ahead != "" {
			table = slices.Grow(table, min(page.Counts.All, maxMachines))
		}
		for i := begun; i < len(table); i++ {
			mac := table[i].MAC
			if at, twice := places[mac]; twice {
				table[at].MAC = ""
				gone++
			}
			places[mac] = i
		}
		switch {
		case page.Next != ahead || len(table) > maxMachines:
			return nil, fmt.Errorf("read the daemon's table of machines: it does not end; does the daemon have another version?")
		case ahead == "" && gone > 0:
			return slices.DeleteFunc(table, func(m Machine) bool { return m.MAC == "" }), nil
		case ahead == "":
			return table, nil
		}
	}
}

// Page returns one page of the table of machines, with some of its columns, or with all
// if none is named.
func (c *Client) Page(ctx context.Context, q roster.Query, columns ...string) (page MachinePage, err error) {
	answer := <-c.askPage(ctx, q, columns)
	if answer.err != nil {
		return page, answer.err
	}
	return answer.page(make([]Machine, 0, q.Limit))
}

// pageAnswer is a page that was not read yet.
type pageAnswer struct {
	body io.ReadCloser
	next string // the place of the page after it
	err  error
}

func (c *Client) askPage(ctx context.Context, q roster.Query, columns []string) <-chan pageAnswer {
	values := queryValues(q)
	if len(columns) > 0 {
		values.Set("columns", strings.Join(columns, ","))
	}
	asked := make(chan pageAnswer, 1)
	go func() {
		request, err := newRequest(ctx, http.MethodGet, "machines?"+values.Encode(), nil)
		if err != nil {
			asked <- pageAnswer{err: err}
			return
		}
		answer, err := c.send(request)
		if err != nil {
			asked <- pageAnswer{err: err}
			return
		}
		asked <- pageAnswer{body: answer.Body, next: answer.Header.Get(nextHeader)}
	}()
	return asked
}

// page reads the page. Its machines come to a place that is empty, and has room for them:
// rows are large, and would be copied as the list grows.
func (a *pageAnswer) page(room []Machine) (page MachinePage, err error) {
	defer a.body.Close()
	page.Machines = room
	if err := json.NewDecoder(io.LimitReader(a.body, maxAnswer)).Decode(&page); err != nil {
		return page, fmt.Errorf("read the daemon's answer to GET machines: %w", err)
	}
	return page, nil
}

// Machine returns one machine in detail.
func (c *Client) Machine(ctx context.Context, machine string) (d Detail, err error) {
	return d, c.do(ctx, http.MethodGet, machinePath(machine, ""), nil, &d)
}

// Events returns the latest events of a machine with IDs above after, in order.
// It returns at most limit of them, or all that are kept if limit is 0.
func (c *Client) Events(ctx context.Context, machine string, after uint64, limit int) (events []provision.Event, err error) {
	query := url.Values{"after": {strconv.FormatUint(after, 10)}, "limit": {strconv.Itoa(limit)}}
	return events, c.do(ctx, http.MethodGet, machinePath(machine, "events")+"?"+query.Encode(), nil, &events)
}

// Install arms an install at the machine's next boot.
func (c *Client) Install(ctx context.Context, machine string, o Order) (d Detail, err error) {
	return d, c.do(ctx, http.MethodPost, machinePath(machine, "install"), o, &d)
}

// Boot orders what a machine boots next, and only then.
func (c *Client) Boot(ctx context.Context, machine string, o BootOrder) (d Detail, err error) {
	return d, c.do(ctx, http.MethodPost, machinePath(machine, "boot"), o, &d)
}

// CancelBoot takes back such an order. By is the person or program that asks.
func (c *Client) CancelBoot(ctx context.Context, machine, by string) (d Detail, err error) {
	return d, c.do(ctx, http.MethodDelete, machinePath(machine, "boot"), BootOrder{By: by}, &d)
}

// Cancel cancels an install, even if it is running. By is the person or program
// that asks for it.
func (c *Client) Cancel(ctx context.Context, machine, by string) (d Detail, err error) {
	return d, c.do(ctx, http.MethodDelete, machinePath(machine, "install"), Order{By: by}, &d)
}

// Images returns the images of the site, and whether each can be booted.
func (c *Client) Images(ctx context.Context) (images []Image, err error) {
	return images, c.do(ctx, http.MethodGet, "images", nil, &images)
}

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

// Servers returns the servers that share the daemon's store.
func (c *Client) Servers(ctx context.Context) (list Servers, err error) {
	return list, c.do(ctx, http.MethodGet, "servers", nil, &list)
}

// Networks returns the networks that the daemon serves.
func (c *Client) Networks(ctx context.Context) (list Networks, err error) {
	return list, c.do(ctx, http.MethodGet, "networks", nil, &list)
}

// Authority returns the certificate that machines have to trust for HTTPS.
func (c *Client) Authority(ctx context.Context) (a Authority, err error) {
	return a, c.do(ctx, http.MethodGet, "authority", nil, &a)
}

// NextAuthority returns the one that they will have to trust next, and makes it if
// there is none yet.
func (c *Client) NextAuthority(ctx context.Context) (a Authority, err error) {
	return a, c.do(ctx, http.MethodPost, "authority/next", nil, &a)
}

// Status returns the daemon's state.
func (c *Client) Status(ctx context.Context) (st Status, err error) {
	return st, c.do(ctx, http.MethodGet, "status", nil, &st)
}

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
