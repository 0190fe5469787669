// Package machines is what the boot chain knows of the machines that ask it: which one a
// network card is of, what its file says, what its state is and what it shall do, and at
// which address it is. What is seen of a machine becomes an event of its trace here. It also
// answers what DHCP asks of machines: who is known, and which address is reserved.
//
// A card and its machine are two things: what asks a server has the card's address, and
// files, states, tokens and overlays have the machine's.
package machines

import (
	"context"
	"log/slog"
	"net/netip"

	"cloudlets/httpboot/hosts"
	"cloudlets/provision"
	"cloudlets/provision/track"
)

// Site knows the machines' files. Its answers come from memory, and their cost
// does not depend on how many machines there are, since every packet asks.
type Site interface {
	track.Files
	// Has says whether the site says anything of a machine.
	Has(provision.MAC) bool
	// ByName are the machines with a hostname.
	ByName(name string) []provision.MAC
	// ByAddress is the machine for which an address is reserved.
	ByAddress(netip.Addr) (provision.MAC, bool)
	// ByImage are the machines whose files name an image.
	ByImage(image string) []provision.MAC
	// Refresh reads the files again, and has the rules of profiles judged by what is
	// known of the machines by now.
	Refresh()
}

// Machines are the machines that ask a server. They are known by their files (Site) and
// by their states (Tracker). Set its fields before you use it, and do not change them
// afterwards.
type Machines struct {
	Site    Site
	Tracker *track.Tracker
	// Strangers says what to do with machines that no file describes. It is asked each
	// time, since cloudlets.json may change; nil lets them go.
	Strangers func() provision.Strangers
	Log       *slog.Logger // may be nil; then nothing is logged

	hosts hosts.Hosts
}

// Logger returns the log, or one that discards everything.
func (m *Machines) Logger() *slog.Logger {
	if m.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return m.Log
}

// Machine is the machine that has a network card. What asks this server has the
// card's address; files, states, tokens and overlays have the machine's.
func (m *Machines) Machine(card provision.MAC) provision.MAC { return m.Tracker.Machine(m.Site, card) }

// Spec returns what the site says about the machine that has a card, or nil for a
// stranger.
func (m *Machines) Spec(card provision.MAC) *provision.Spec {
	if spec, ok := m.Site.Spec(m.Machine(card)); ok {
		return &spec
	}
	return nil
}

// isListed says whether the site says anything of the machine that has a card.
func (m *Machines) isListed(card provision.MAC) bool { return m.Site.Has(m.Machine(card)) }

// State is what is known about the machine that has a card.
func (m *Machines) State(card provision.MAC) provision.State {
	state, _ := m.Tracker.State(m.Machine(card))
	return state
}

// Decide returns what the machine that has a card shall do now, and its spec.
func (m *Machines) Decide(card provision.MAC) (*provision.Spec, provision.Decision) {
	spec := m.Spec(card)
	return spec, m.StrangerRules().Decide(spec, m.State(card))
}

// StrangerRules say what to do with machines that no file describes.
func (m *Machines) StrangerRules() provision.Strangers {
	if m.Strangers == nil {
		return provision.Strangers{}
	}
	return m.Strangers()
}

// Of makes an event of a network card one of the machine that has the card.
func (m *Machines) Of(e provision.Event) provision.Event {
	if machine := m.Machine(e.MAC); machine != e.MAC {
		e.MAC, e.Card = machine, e.MAC
	}
	return e
}

// Record records an event of a card or a machine, also if who caused it has hung up
// meanwhile.
func (m *Machines) Record(ctx context.Context, e provision.Event) {
	e = m.Of(e)
	if err := m.Tracker.Record(context.WithoutCancel(ctx), e); err != nil {
		m.Logger().Error("an event was lost", "machine", e.MAC, "event", e.Text, "error", err)
	}
}

func (m *Machines) observe(e provision.Event) {
	if err := m.Tracker.Observe(e); err != nil {
		m.Logger().Error("an event was lost", "machine", e.MAC, "event", e.Text, "error", err)
	}
}

// note records something worth a line in the trace of exactly the machine that the
// event names. What it says of a card is in force when it returns. It never waits for the
// store.
func (m *Machines) note(e provision.Event) {
	e.Kind = provision.KindLog
	if err := m.Tracker.Note(e); err != nil {
		m.Logger().Error("an event was lost", "machine", e.MAC, "event", e.Text, "error", err)
	}
}
