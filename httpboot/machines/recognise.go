package machines

import (
	"fmt"

	"cloudlets/dhcp"
	"cloudlets/provision"
	"cloudlets/provision/track"
)

// Recognise implements [dhcp.Recogniser]: it notes whose network card a boot client
// has, before anything is decided about it.
func (m *Machines) Recognise(client dhcp.Client) {
	if mac, err := provision.MACFrom(client.MAC); err == nil && client.Kind != dhcp.Plain {
		m.Meet(mac, client.UUID)
	}
}

// Meet notes which UUID a card shows that no file names. text may be "".
//
// If a machine's file has the UUID, the card is that machine's from then on, until it
// shows another one. A UUID that only a machine's state has is told to people, and
// changes nothing: it can be forged, and bad boards share theirs.
func (m *Machines) Meet(card provision.MAC, text string) {
	if _, described := track.Described(m.Site, card); described {
		return
	}
	uuid, before := provision.UUIDOf(text), m.Tracker.Shown(card)
	machine, named := m.Site.ByUUID(uuid)
	switch {
	case uuid != "" && uuid != before && named:
		spec, _ := m.Site.Spec(machine)
		m.note(provision.Event{
			MAC: machine, Card: card, Text: "this machine has another network card, " + string(card),
			Reason: fmt.Sprintf("%s has the UUID that the card shows", spec.File()), Facts: map[string]string{"uuid": text},
		})
	case uuid != "" && before != "" && uuid != before:
		m.note(provision.Event{
			MAC: card, Text: "the network card " + string(card) + " is in another machine now",
			Reason: "it shows another UUID than before", Facts: map[string]string{"uuid": text},
		})
	}
	if m.Machine(card) == card {
		m.noteResemblance(card, uuid)
	}
}

// noteResemblance notes to which machine a stranger's card seems to belong.
func (m *Machines) noteResemblance(card provision.MAC, uuid provision.UUID) {
	state, _ := m.Tracker.State(card)
	if uuid == "" {
		uuid = provision.UUIDOf(state.Facts["uuid"])
	}
	machine, _ := m.Tracker.Resembles(m.Site, card, uuid)
	if provision.MAC(state.Facts["cardOf"]) == machine {
		return
	}
	event := provision.Event{MAC: card, Text: "this seems to be a network card of no other machine any more", Facts: map[string]string{"cardOf": string(machine)}}
	if machine != "" {
		event.Text = "this seems to be a network card of " + m.nameOf(machine)
		event.Reason = provision.Decide(nil, provision.State{MAC: card, Facts: event.Facts}).Reason
	}
	m.note(event)
}

// nameOf is a machine's hostname with its MAC, for people.
func (m *Machines) nameOf(machine provision.MAC) string {
	if spec, ok := m.Site.Spec(machine); ok && spec.Hostname != "" {
		return spec.Hostname + " (" + string(machine) + ")"
	}
	return string(machine)
}
