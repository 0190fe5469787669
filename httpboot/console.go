package httpboot

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"cloudlets/httpboot/requests"
	"cloudlets/provision"
	"cloudlets/provision/tickets"
	"cloudlets/provision/wire"
)

// A token is on the kernel's command line, where others on the network can read it. So
// what is recorded of a machine's console is bounded: so many lines and failures in each
// consoleWindow.
const (
	consoleWindow     = time.Minute
	maxConsoleLines   = 4 * wire.MaxConsoleLines
	maxConsoleFailure = 4
)

// console records what an agent's console showed before it claimed its plan.
func (c *Chain) console(w http.ResponseWriter, r *http.Request) {
	var said wire.Console
	if err := requests.ReadJSON(w, r, &said); err != nil {
		http.Error(w, "read console: "+requests.Printable(err.Error()), http.StatusBadRequest)
		return
	}
	mac, may, err := c.Tickets.Issued(r.Context(), said.Token, tickets.Claimant{Addr: requests.RemoteAddr(r), Started: c.FirmwareStarted})
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	if c.Machine(said.MAC) != mac {
		requests.Refuse(w, requests.Refusal(fmt.Errorf("the token is of %s, and %s uses it: restart the machine so that it gets its own", mac, requests.Printable(string(said.MAC)))))
		return
	}
	if err := c.tookConsole(r, mac, may, said); err != nil {
		requests.Refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// tookConsole records what a console showed. Unless its agent may claim the machine, its
// failure is not the machine's.
func (c *Chain) tookConsole(r *http.Request, mac provision.MAC, may bool, said wire.Console) error {
	lines := said.Lines[:min(len(said.Lines), wire.MaxConsoleLines)]
	for _, line := range lines[:c.consoles.allow(mac, len(lines), maxConsoleLines)] {
		e := provision.Event{MAC: mac, Kind: provision.KindLog, Text: provision.ConsolePrefix + provision.Cut(line, wire.MaxConsoleLine)}
		if err := c.Tracker.Record(r.Context(), e); err != nil {
			return err
		}
	}
	if said.Failure == "" || c.failures.allow(mac, 1, maxConsoleFailure) == 0 {
		return nil
	}
	e := provision.Event{MAC: mac, Kind: provision.KindFailed, Stage: provision.StageFailed, Text: said.Failure, Reason: "its agent has not claimed a plan, so nothing was written"}
	if state := c.State(mac); !may || state.Stage == provision.StageFailed && state.Failure == said.Failure {
		// A failure that is known already decides nothing.
		e.Kind, e.Stage = provision.KindLog, ""
	}
	return c.Tracker.Record(r.Context(), e)
}

// ration bounds how much of something is taken of each machine in a consoleWindow. The
// zero value is ready for use.
type ration struct {
	mu    sync.Mutex
	begun time.Time
	used  map[provision.MAC]int
}

// allow returns how many of want the machine may still have, and counts them.
func (q *ration) allow(mac provision.MAC, want, most int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := time.Now(); q.used == nil || now.Sub(q.begun) >= consoleWindow {
		q.begun, q.used = now, make(map[provision.MAC]int)
	}
	want = min(want, most-q.used[mac])
	q.used[mac] += want
	return want
}
