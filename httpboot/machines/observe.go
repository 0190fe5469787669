package machines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"strings"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/requests"
	"cloudlets/images/bytesize"
	"cloudlets/provision"
)

// SawExchange records a DHCP exchange. It is the Observe of a [v4.Server], and
// never waits for the store. It records an operating system's exchanges only if
// the machine is in the site, and if they tell something new of it.
func (m *Machines) SawExchange(x dhcp.Exchange) {
	mac, err := provision.MACFrom(x.Client.MAC)
	if err != nil {
		return
	}
	spec := m.Spec(mac)
	if x.Client.Kind == dhcp.Plain && spec == nil {
		return
	}
	event := provision.Event{MAC: mac, Kind: provision.KindDHCP, Reason: x.Reason, Facts: map[string]string{}}
	event.Text = describeExchange(x)
	if x.Addr.IsValid() {
		m.hosts.Gave(mac, x.Addr, spec != nil)
		if m.isMain(mac, x.Addr, spec) {
			event.Facts["address"] = x.Addr.String()
		}
	}
	if x.Client.Kind == dhcp.Plain {
		state := m.State(mac)
		if !isNews(x, state, event.Facts["address"]) {
			return
		}
		if event.Plain = !runsOurs(state); event.Plain {
			event.Reason = strings.TrimPrefix(event.Reason+"; an operating system asked, and not the firmware", "; ")
		}
	} else {
		event.Stage = m.stageOf(mac, x.Client.Kind, m.StrangerRules().Decide(spec, m.State(mac)).Action)
		event.Facts["firmware"] = x.Client.Firmware.String()
		if x.Client.UUID != "" {
			event.Facts["uuid"] = x.Client.UUID
		}
	}
	if event.Stage == provision.StageFirmware {
		m.sawBreakOff(mac)
	}
	m.observe(m.Of(event))
}

// isNews says whether an operating system's exchange tells something of its machine that
// is not known yet. address is that of the exchange, if people look for the machine there.
//
// A system renews its lease for as long as it runs, and each event costs a write. So a
// lease is told once, when it is new or for another address, and again when the machine
// has come to another stage since.
func isNews(x dhcp.Exchange, s provision.State, address string) bool {
	switch {
	case x.Reply == "" || runsOurs(s): // why there is no answer; or how an install goes on
		return true
	case x.Reply == "OFFER" || x.Reply == "ADVERTISE": // the client takes it by its next packet
		return false
	case s.Asked.IsZero() || s.Asked.Before(s.Since) || x.NewLease || !x.Addr.IsValid() && x.Request == "REQUEST":
		return true
	}
	mac, err := provision.MACFrom(x.Client.MAC)
	// The cards of a machine have an address each, and renew them in turn.
	return err == nil && mac == s.MAC && address != "" && address != s.Facts["address"]
}

// runsOurs says whether the system that a machine runs is the agent, as far as it was seen.
func runsOurs(s provision.State) bool {
	return s.Installing() || s.Stage == provision.StageKernel || s.Stage == provision.StageRescue || s.Stage == provision.StageInspect
}

// sawBreakOff tells, when a machine's firmware starts, of an install that this broke off.
func (m *Machines) sawBreakOff(card provision.MAC) {
	state := m.State(card)
	if !state.Installing() {
		return
	}
	at := fmt.Sprintf("in the stage %q", state.Stage)
	if state.Progress != nil {
		at += " at " + bytesize.Decimal(state.Progress.Done)
	}
	m.observe(m.Of(provision.Event{
		MAC: card, Kind: provision.KindLog, Text: "the machine started again " + at + ": that install was broken off",
		Reason: "it was switched off or reset, or its kernel stopped; the disk is not bootable until an install ends",
	}))
}

// isMain says whether an address is the one at which people look for the machine
// that has a card. It is not, if the machine has its reserved address by another of
// its cards.
//
// A machine that has addresses of both protocols is looked for at that of IPv4.
func (m *Machines) isMain(card provision.MAC, addr netip.Addr, spec *provision.Spec) bool {
	if addr.Is6() {
		if at, err := netip.ParseAddr(m.State(card).Facts["address"]); err == nil && at.Is4() {
			return false
		}
	}
	if spec == nil || card == spec.MAC || !spec.Address.IsValid() || addr == spec.Address {
		return true
	}
	return m.State(card).Facts["address"] != spec.Address.String()
}

// stageOf returns the stage that a machine is in, as a boot client's packet shows.
func (m *Machines) stageOf(mac provision.MAC, kind dhcp.Kind, action provision.Action) provision.Stage {
	switch action {
	case provision.ActionDiscover:
		return provision.StageStranger
	case provision.ActionLocal:
		return provision.StageLocal
	}
	state := m.State(mac)
	if kind == dhcp.IPXE && (state.Stage == provision.StageFirmware || state.Stage == provision.StageLoader) {
		return provision.StageLoader
	}
	return provision.StageFirmware
}

func describeExchange(x dhcp.Exchange) string {
	text := fmt.Sprintf("%s from %s", x.Request, describeClient(x.Client))
	switch {
	case x.Reply == "":
		text += ": no answer"
	default:
		text += ": " + x.Reply
		if x.Addr.IsValid() {
			text += " " + x.Addr.String()
		}
		if x.File != "" {
			text += ", boot file " + x.File
		}
	}
	return text
}

// describeClient names the program that sent a packet.
func describeClient(c dhcp.Client) string {
	switch {
	case c.Kind != dhcp.Plain:
		return c.Firmware.String() + " " + c.Kind.String()
	case c.Hostname != "":
		return "the system " + c.Hostname
	default:
		return "an operating system"
	}
}

// SawTransfer records the end of a TFTP transfer of size bytes, or why it failed.
// It records nothing if no machine is known at the address.
func (m *Machines) SawTransfer(remote netip.Addr, name string, size int64, err error) {
	mac, ok := m.hosts.Machine(remote.Unmap())
	if !ok || errors.Is(err, fs.ErrNotExist) && dialect.MayBeMissing(name) {
		return
	}
	name = requests.Printable(name)
	event := provision.Event{MAC: mac, Kind: provision.KindTFTP, Text: fmt.Sprintf("fetched %s by TFTP, %s", name, bytesize.Decimal(size))}
	if err != nil {
		event.Text, event.Reason = "could not fetch "+name+" by TFTP", requests.Printable(err.Error())
	} else {
		event.Stage = stageOfFile(name)
	}
	m.Record(context.Background(), event)
}

// SawFetch records that a machine fetched a file by HTTP or HTTPS.
func (m *Machines) SawFetch(r *http.Request, stage provision.Stage, what string) {
	if r.Method != http.MethodGet {
		return
	}
	if mac, ok := m.hosts.Machine(requests.RemoteAddr(r)); ok {
		m.Record(r.Context(), provision.Event{MAC: mac, Kind: provision.KindHTTP, Stage: stage, Text: "fetched " + requests.Printable(what) + " by " + requests.Protocol(r)})
	}
}

// stageOfFile returns the stage that a download by TFTP begins. When GRUB, U-Boot or a
// Raspberry Pi reads the machine's configuration and what that names, or firmware the program
// that starts the machine's disk, the decision has begun one already.
func stageOfFile(name string) provision.Stage {
	_, stored := dialect.DepotFile(name)
	_, _, ownDisk := dialect.OwnDiskOf(name)
	if stored || ownDisk || dialect.AfterPiFirmware(name) || strings.HasPrefix(name, dialect.GRUBMachines) || strings.HasPrefix(name, dialect.UBootMachines) {
		return ""
	}
	return provision.StageLoader
}
