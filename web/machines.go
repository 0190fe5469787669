package web

import (
	"iter"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

// machines answers with one page of the table. The place of the next page stands in a
// header, which goes first, so that clients can ask for the next page while this one is
// made.
func (s *Server) machines(w http.ResponseWriter, r *http.Request) {
	page, columns, err := s.foundPage(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if page.Next != "" {
		w.Header().Set(api.NextHeader, page.Next)
	}
	if columns == nil {
		writeJSON(w, http.StatusOK, s.machinePage(page))
		return
	}
	answerJSON(w)
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // where it cannot, the headers go with the page
	if r.Method == http.MethodHead {
		return
	}
	if err := columns.write(w, s.eachRow(page.MACs), page.Next, s.counts()); err != nil {
		panic(http.ErrAbortHandler) // so that the client does not take what there is for the whole
	}
}

// foundPage returns the page that a request asks for, and which columns of it.
func (s *Server) foundPage(r *http.Request) (page roster.Page, asked columns, err error) {
	q, err := pageQuery(r)
	if err != nil {
		return page, nil, err
	}
	if asked, err = columnsOf(r); err != nil {
		return page, nil, err
	}
	if page, err = s.Roster.Page(q); err != nil {
		return page, nil, refuse(http.StatusBadRequest, "%s", err)
	}
	return page, asked, nil
}

// pageQuery reads which page a request asks for.
func pageQuery(r *http.Request) (roster.Query, error) {
	limit, err := number(r, "limit")
	values := r.URL.Query()
	order, descending := strings.CutPrefix(values.Get("sort"), "-")
	return roster.Query{
		List: roster.List(values.Get("stage")), Order: roster.Order(order), Descending: descending, After: values.Get("after"),
		Search: values.Get("search"), Profile: values.Get("profile"), Tag: values.Get("tag"), Group: values.Get("group"), Image: values.Get("image"), Names: values["name"],
		Limit: int(min(limit, math.MaxInt32)),
	}, err
}

func (s *Server) machinePage(page roster.Page) api.MachinePage {
	return api.MachinePage{Machines: s.rows(page.MACs), Next: page.Next, Counts: s.counts()}
}

func (s *Server) rows(macs []provision.MAC) []api.Machine {
	rows := make([]api.Machine, 0, len(macs))
	for row := range s.eachRow(macs) {
		rows = append(rows, *row)
	}
	return rows
}

// statesAtOnce is how many machines' states are copied at a time.
const statesAtOnce = 50

// eachRow makes the rows of machines, one after the other in the same place, as machines
// are large.
func (s *Server) eachRow(macs []provision.MAC) iter.Seq[*api.Machine] {
	return func(yield func(*api.Machine) bool) {
		var row api.Machine
		var spec provision.Spec
		states := make([]*provision.State, 0, min(len(macs), statesAtOnce))
		for some := range slices.Chunk(macs, statesAtOnce) {
			states = s.Roster.AppendStates(states[:0], some)
			for _, state := range states {
				var described bool
				spec, described = s.Site.Spec(state.MAC)
				if described {
					row = s.row(&spec, *state)
				} else {
					row = s.row(nil, *state)
				}
				if !yield(&row) {
					return
				}
			}
		}
	}
}

func (s *Server) spec(mac provision.MAC) *provision.Spec {
	spec, ok := s.Site.Spec(mac)
	if !ok {
		return nil
	}
	return &spec
}

// machine answers with one machine in detail.
func (s *Server) machine(r *http.Request) (any, error) {
	mac, err := s.find(r.PathValue("machine"))
	if err != nil {
		return nil, err
	}
	if err := s.known(mac); err != nil {
		return nil, err
	}
	detail := s.detail(mac)
	found, inspected, err := s.Tracker.Inspection(r.Context(), mac)
	if inspected {
		detail.Inspection, detail.Outcome = &found.Inspection, found.Outcome
	}
	return detail, err
}

func (s *Server) detail(mac provision.MAC) api.Detail {
	state, _ := s.Tracker.State(mac)
	return s.newDetail(s.spec(mac), state)
}

// machineEvents answers with the latest events of a machine.
func (s *Server) machineEvents(r *http.Request) (any, error) {
	mac, err := s.find(r.PathValue("machine"))
	if err != nil {
		return nil, err
	}
	if err := s.known(mac); err != nil {
		return nil, err
	}
	after, err := number(r, "after")
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit")
	if err != nil {
		return nil, err
	}
	events, err := s.Tracker.Events(r.Context(), mac, after, int(min(limit, 1<<30)))
	if events == nil {
		events = []provision.Event{}
	}
	return events, err
}

// number returns a parameter of the query that is a number, or 0 if it is absent.
func number(r *http.Request, name string) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	// Allow one bit less than fits, so that adding to the number cannot overflow.
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, refuse(http.StatusBadRequest, "%s=%.40q is not a number; give a whole number, such as %s=100", name, text, name)
	}
	return n, nil
}

// known refuses a machine that no file describes and that was never seen.
func (s *Server) known(mac provision.MAC) error {
	if _, seen := s.Tracker.State(mac); seen || s.spec(mac) != nil {
		return nil
	}
	if err := s.refuseUnread(mac); err != nil {
		return err
	}
	return refuse(http.StatusNotFound, "machine %s is unknown: no file in machines/ describes it, and it was never seen; `cloudlets machines` lists the machines that are known", mac)
}

// find returns the machine that a name stands for. The name is the MAC of any of its
// network cards, a hostname of the site, or the first part of one. It must stand for
// exactly one machine.
func (s *Server) find(name string) (provision.MAC, error) {
	mac, macErr := provision.ParseMAC(name)
	if macErr == nil {
		return s.Tracker.Machine(s.Site, mac), nil
	}
	return only(name, s.Site.ByName(name))
}

func only(name string, found []provision.MAC) (provision.MAC, error) {
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", refuse(http.StatusNotFound, "no machine is called %.80q: it is neither a MAC address such as 52:54:00:12:34:56 nor a hostname of the site; `cloudlets machines` lists the machines", name)
	default:
		return "", refuse(http.StatusConflict, "%q is the name of several machines: %s; use the MAC address or the whole hostname", name, listing(found))
	}
}

func listing(macs []provision.MAC) string {
	texts := make([]string, len(macs))
	for i, mac := range macs {
		texts[i] = mac.String()
	}
	return strings.Join(texts, ", ")
}
