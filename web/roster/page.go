package roster

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

const (
	// MaxLimit is how many machines a page has at most, and DefaultLimit how many
	// if the query does not say.
	MaxLimit     = 1000
	DefaultLimit = 100
	// MaxSearch bounds the text of a search, in bytes.
	MaxSearch = 100
	// MaxExamined is how many machines a page looks at for those that its query selects.
	// The page may so have fewer machines than its limit, or none, and not be the last.
	MaxExamined = 4096
	// MaxNamesText bounds the names of a query, in bytes of all together.
	MaxNamesText = 16 << 10
	// maxCursor bounds a cursor, in bytes.
	maxCursor = 2048
)

// Query selects a page of machines. The zero value is the first of all.
type Query struct {
	List List
	// Order is what the machines are sorted by, and Descending turns that around.
	Order      Order
	Descending bool
	// After is [Page.Next] of the page before, or "" for the first page.
	After string
	// Search is part of the machine's MAC, hostname, image, address, serial number or of
	// a profile's name, in capitals or not; "" finds all.
	Search string
	// Profile selects those whose files extend it, themselves or by another profile, and
	// Image those that shall have it, or have it. "" selects all.
	Profile, Image string
	// Tag selects those that have it.
	Tag string
	// Group selects those that this file of the site describes, "machines/rack3.json".
	Group string
	// Names selects those that are called so, see [NameSet]. They may have ranges, such as
	// "node[1-20]". Nil selects all.
	Names []string
	// Limit is how many machines the page has at most, up to [MaxLimit]; 0 means
	// [DefaultLimit].
	Limit int
}

// Page is a page of machines, in order.
type Page struct {
	MACs []provision.MAC
	// Next is the cursor of the next page, or "" if this is the last.
	Next string
}

// cut is a query, checked and ready for the walk.
type cut struct {
	list       List
	order      Order
	descending bool
	after      string // key
	filter     filter
	limit      int
}

func (r *Roster) cut(q Query) (cut, error) {
	c := cut{
		list: q.List, order: cmp.Or(q.Order, ByName), descending: q.Descending, limit: q.Limit,
		filter: filter{search: strings.ToLower(strings.TrimSpace(q.Search)), profile: q.Profile, tag: q.Tag, group: q.Group, image: q.Image},
	}
	if r.lists[q.List] == nil {
		return c, fmt.Errorf("no list of machines is called %.40q; give a stage, such as stage=installed, or one of %q", q.List, Lists()[:3])
	}
	if !slices.Contains(Orders(), c.order) {
		return c, fmt.Errorf("machines cannot be sorted by %.40q%s; give one of %q", c.order, jsontext.DidYouMean(string(c.order), orderNames()), Orders())
	}
	if c.limit == 0 {
		c.limit = DefaultLimit
	}
	if c.limit < 1 || c.limit > MaxLimit {
		return c, fmt.Errorf("a page of %d machines cannot be given; ask for 1 to %d", q.Limit, MaxLimit)
	}
	if n := len(c.filter.search); n > MaxSearch {
		return c, fmt.Errorf("a search for %d bytes cannot be made; give at most %d", n, MaxSearch)
	}
	if n := len(strings.Join(q.Names, "")); n > MaxNamesText {
		return c, fmt.Errorf("%d bytes of names are too many; give at most %d, with ranges such as node[1-20]", n, MaxNamesText)
	}
	if q.Names != nil {
		set, err := ParseNames(q.Names)
		if err != nil {
			return c, err
		}
		c.filter.names = &set
	}
	key, err := base64.RawURLEncoding.DecodeString(q.After)
	if err != nil || len(q.After) > maxCursor {
		return c, fmt.Errorf("after=%.40q is not a place in the list; give \"next\" of the page before", q.After)
	}
	c.after = string(key)
	return c, nil
}

// Page returns a page of machines. It looks at no more than [MaxExamined]. The
// error is about the query.
//
// Whoever walks all pages meets each machine once that is in the list from the
// first page to the last, unless it gets another place meanwhile: a new hostname, or, by
// another order than the name's, a new stage, image or address. By [BySeen], ascending,
// a machine that reports meanwhile comes once more, since it moves to the end.
func (r *Roster) Page(q Query) (Page, error) {
	c, err := r.cut(q)
	if err != nil {
		return Page{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.page(c), nil
}

// page walks the list. The caller holds mu.
func (r *Roster) page(c cut) Page {
	var p Page
	last, examined := "", 0
	visit := func(i item) bool {
		if len(p.MACs) == c.limit || examined == MaxExamined {
			p.Next = base64.RawURLEncoding.EncodeToString([]byte(last))
			return false
		}
		last = i.key
		examined++
		if e := i.machine.entry; c.filter.selects(e) {
			p.MACs = append(p.MACs, e.mac)
		}
		return true
	}
	r.sorted(c.list, c.order).walk(c.after, c.descending, visit)
	return p
}

// View is a page that somebody looks at. One goroutine may use it.
type View struct {
	roster  *Roster
	cut     cut
	page    Page
	version uint64
	begun   bool
	stale   map[provision.MAC]struct{} // guarded by the roster's lock
}

// View opens a view of a page. Call [View.Close] at its end. The error is about the
// query.
func (r *Roster) View(q Query) (*View, error) {
	c, err := r.cut(q)
	if err != nil {
		return nil, err
	}
	return &View{roster: r, cut: c, stale: make(map[provision.MAC]struct{})}, nil
}

// Close ends the view.
func (v *View) Close() {
	v.roster.mu.Lock()
	defer v.roster.mu.Unlock()
	v.show(Page{})
}

// Page returns the page as it is now. From then on [View.Changes] tells what is
// different.
func (v *View) Page() Page {
	v.roster.mu.Lock()
	defer v.roster.mu.Unlock()
	v.look()
	clear(v.stale)
	return v.page
}

// Changes returns what has changed since the last call. moved says that the page has
// other machines, or in another order: then see [View.Page]. Otherwise rows are
// those of its machines that changed, in order. Machines that are not on the page
// cost a view nothing, unless they come into its list or leave it.
func (v *View) Changes() (rows []provision.MAC, moved bool) {
	v.roster.mu.Lock()
	defer v.roster.mu.Unlock()
	if v.look() {
		return nil, true
	}
	if len(v.stale) == 0 {
		return nil, false
	}
	for _, mac := range v.page.MACs {
		if _, stale := v.stale[mac]; stale {
			rows = append(rows, mac)
		}
	}
	clear(v.stale)
	return rows, false
}

// look cuts the page again if its list has changed, and says whether the page has.
// The caller holds the roster's lock.
func (v *View) look() (moved bool) {
	version := v.roster.sorted(v.cut.list, v.cut.order).version
	if v.begun && version == v.version {
		return false
	}
	v.begun, v.version = true, version
	next := v.roster.page(v.cut)
	if next.Next == v.page.Next && slices.Equal(next.MACs, v.page.MACs) {
		return false
	}
	v.show(next)
	return true
}

// show has the roster tell this view of the page's machines, and of no others. The
// caller holds the roster's lock.
func (v *View) show(next Page) {
	for _, mac := range v.page.MACs {
		delete(v.roster.views[mac], v)
		if len(v.roster.views[mac]) == 0 {
			delete(v.roster.views, mac)
		}
		delete(v.stale, mac)
	}
	v.page = next
	for _, mac := range next.MACs {
		if v.roster.views[mac] == nil {
			v.roster.views[mac] = make(map[*View]struct{})
		}
		v.roster.views[mac][v] = struct{}{}
	}
}
