package api

import (
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
		asked <- pageAnswer{body: answer.Body, next: answer.Header.Get(NextHeader)}
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
