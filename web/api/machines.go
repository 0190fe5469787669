package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"cloudlets/provision"
	"cloudlets/web/roster"
)

// Machines returns all machines that a query selects, in its order, from all pages.
// Columns are the keys in JSON of what is asked about each, beside its MAC, or parts of
// those, such as "next.action"; without any it is everything.
func (c *Client) Machines(ctx context.Context, q roster.Query, columns ...string) ([]Machine, error) {
	return MachineRows(ctx, c, q, func(m *Machine) Machine { return *m }, columns...)
}

// MachineRows is [Client.Machines] for a caller that keeps little of each machine, as a
// [Machine] is large and there may be thousands: it returns what row makes of each. The
// machine is row's until row returns.
func MachineRows[T any](ctx context.Context, c *Client, q roster.Query, row func(*Machine) T, columns ...string) ([]T, error) {
	selected := func(*Machine) bool { return true }
	if len(strings.Join(q.Names, "")) > roster.MaxNamesText { // look for them here
		set, err := roster.ParseNames(q.Names)
		if err != nil {
			return nil, err
		}
		selected = func(m *Machine) bool { return set.Has(m.Hostname, m.MAC) }
		q.Names = nil
	}
	// Machines move while the pages are read. In ascending order a machine that reports
	// moves to a later page, and in descending order to one that was read already.
	backwards := q.Descending
	q.Descending = false
	if len(columns) > 0 {
		columns = append([]string{"mac", "hostname"}, columns...)
	}
	// One that comes twice, since it got another place meanwhile, is in the later one.
	type place struct {
		row  T
		gone bool
	}
	var table []place
	var at map[provision.MAC]int
	err := c.eachPage(ctx, q, columns, func(page *MachinePage) {
		if table == nil {
			room := len(page.Machines)
			if page.Next != "" {
				room = max(room, min(page.Counts.All, maxMachines))
			}
			table, at = make([]place, 0, room), make(map[provision.MAC]int, room)
		}
		for i := range page.Machines {
			m := &page.Machines[i]
			if !selected(m) {
				continue
			}
			if before, twice := at[m.MAC]; twice {
				table[before].gone = true
			}
			at[m.MAC] = len(table)
			table = append(table, place{row: row(m)})
		}
	})
	if err != nil {
		return nil, err
	}
	rows := make([]T, 0, len(at))
	for _, p := range table {
		if !p.gone {
			rows = append(rows, p.row)
		}
	}
	if backwards {
		slices.Reverse(rows)
	}
	return rows, nil
}

// firstPage is how many machines the first page has, so that it comes soon.
const firstPage = 100

// eachPage reads all pages. A page is there until the next one is read. The daemon makes
// a page while the one before is read.
func (c *Client) eachPage(ctx context.Context, q roster.Query, columns []string, each func(*MachinePage)) error {
	ctx, cancel := context.WithCancel(ctx) // ends a request whose answer is not read
	defer cancel()
	var text bytes.Buffer
	room, read := make([]Machine, 0, firstPage), 0
	q.Limit = firstPage
	for asked := c.askPage(ctx, q, columns); ; {
		answer := <-asked
		if answer.err != nil {
			return answer.err
		}
		ahead := answer.next
		if ahead != "" {
			q.After, q.Limit = ahead, roster.MaxLimit
			asked = c.askPage(ctx, q, columns)
		}
		page, err := answer.page(&text, room)
		if err != nil {
			return err
		}
		read += len(page.Machines)
		if page.Next != ahead || read > maxMachines {
			return fmt.Errorf("read the daemon's table of machines: it does not end; does the daemon have another version?")
		}
		each(&page)
		if ahead == "" {
			return nil
		}
		clear(page.Machines) // JSON leaves what it does not name as it was
		room = slices.Grow(page.Machines[:0], roster.MaxLimit)
	}
}

// Page returns one page of the table of machines, with some of its columns, or with all
// if none is named.
func (c *Client) Page(ctx context.Context, q roster.Query, columns ...string) (page MachinePage, err error) {
	answer := <-c.askPage(ctx, q, columns)
	if answer.err != nil {
		return page, answer.err
	}
	return answer.page(new(bytes.Buffer), nil)
}

// pageAnswer is a page that was not read yet.
type pageAnswer struct {
	body io.ReadCloser
	size int64  // in bytes; -1 if unknown
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
		asked <- pageAnswer{body: answer.Body, size: answer.ContentLength, next: answer.Header.Get(NextHeader)}
	}()
	return asked
}

// page reads the page, by way of text. Its machines come to a place that is empty: they
// are large, and would be copied as the list grows.
func (a *pageAnswer) page(text *bytes.Buffer, room []Machine) (page MachinePage, err error) {
	defer a.body.Close()
	text.Reset()
	text.Grow(bytes.MinRead + int(max(0, min(a.size, maxAnswer))))
	page.Machines = room
	if _, err = text.ReadFrom(io.LimitReader(a.body, maxAnswer)); err == nil {
		err = json.Unmarshal(text.Bytes(), &page)
	}
	if err != nil {
		return page, fmt.Errorf("read the daemon's answer to GET machines: %w", err)
	}
	return page, nil
}

// MachinePage is one page of the table of machines.
type MachinePage struct {
	Machines []Machine `json:"machines"`
	// Next is the query's "after" for the next page, or "" if this is the last. For
	// each page a bounded number of machines is looked at, so one with few machines
	// that the query selects, or none, need not be the last.
	Next string `json:"next,omitempty"`
	// Counts are of all machines, whatever the page shows.
	Counts Counts `json:"counts"`
}

// NextHeader has [MachinePage.Next].
const NextHeader = "Cloudlets-Next"

// queryValues is what [pageQuery] reads.
func queryValues(q roster.Query) url.Values {
	order := string(q.Order)
	if q.Descending {
		order = "-" + order
	}
	values := url.Values{}
	for name, value := range map[string]string{
		"stage": string(q.List), "sort": order, "after": q.After, "search": q.Search, "profile": q.Profile, "tag": q.Tag, "group": q.Group, "image": q.Image,
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Names != nil {
		values["name"] = q.Names
	}
	if q.Limit != 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	return values
}
