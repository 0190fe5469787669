package httpboot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/images/bytesize"
	"cloudlets/provision"
	"cloudlets/provision/depot"
)

// of makes an event of a network card one of the machine that has the card.
func (c *Chain) of(e provision.Event) provision.Event {
	if machine := c.machine(e.MAC); machine != e.MAC {
		e.MAC, e.Card = machine, e.MAC
	}
	return e
}

// record records an event of a card or a machine, also if who caused it has hung up
// meanwhile.
func (c *Chain) record(ctx context.Context, e provision.Event) {
	e = c.of(e)
	if err := c.Tracker.Record(context.WithoutCancel(ctx), e); err != nil {
		c.logger().Error("an event was lost", "machine", e.MAC, "event", e.Text, "error", err)
	}
}

// SawExchange records a DHCP exchange. It is the Observe of a [v4.Server], and
// never waits for the store. It records an operating system's exchanges only if
// the machine is in the site, and if they tell something new of it.
func (c *Chain) SawExchange(x dhcp.Exchange) {
	mac, err := provision.MACFrom(x.Client.MAC)
	if err != nil {
		return
	}
	spec := c.spec(mac)
	if x.Client.Kind == dhcp.Plain && spec == nil {
		return
	}
	event := provision.Event{MAC: mac, Kind: provision.KindDHCP, Reason: x.Reason, Facts: map[string]string{}}
	event.Text = describeExchange(x)
	if x.Addr.IsValid() {
		c.hosts.Gave(mac, x.Addr, spec != nil)
		if c.isMain(mac, x.Addr, spec) {
			event.Facts["address"] = x.Addr.String()
		}
	}
	if x.Client.Kind == dhcp.Plain {
		state := c.state(mac)
		if !isNews(x, state, event.Facts["address"]) {
			return
		}
		if event.Plain = !runsOurs(state); event.Plain {
			event.Reason = strings.TrimPrefix(event.Reason+"; an operating system asked, and not the firmware", "; ")
		}
	} else {
		event.Stage = c.stageOf(mac, x.Client.Kind, c.strangersOf().Decide(spec, c.state(mac)).Action)
		event.Facts["firmware"] = x.Client.Firmware.String()
		if x.Client.UUID != "" {
			event.Facts["uuid"] = x.Client.UUID
		}
	}
	if event.Stage == provision.StageFirmware {
		c.sawBreakOff(mac)
	}
	c.observe(c.of(event))
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

func (c *Chain) observe(e provision.Event) {
	if err := c.Tracker.Observe(e); err != nil {
		c.logger().Error("an event was lost", "machine", e.MAC, "event", e.Text, "error", err)
	}
}

// sawBreakOff tells, when a machine's firmware starts, of an install that this broke off.
func (c *Chain) sawBreakOff(card provision.MAC) {
	state := c.state(card)
	if !state.Installing() {
		return
	}
	at := fmt.Sprintf("in the stage %q", state.Stage)
	if state.Progress != nil {
		at += " at " + bytesize.Decimal(state.Progress.Done)
	}
	c.observe(c.of(provision.Event{
		MAC: card, Kind: provision.KindLog, Text: "the machine started again " + at + ": that install was broken off",
		Reason: "it was switched off or reset, or its kernel stopped; the disk is not bootable until an install ends",
	}))
}

// isMain says whether an address is the one at which people look for the machine
// that has a card. It is not, if the machine has its reserved address by another of
// its cards.
//
// A machine that has addresses of both protocols is looked for at that of IPv4.
func (c *Chain) isMain(card provision.MAC, addr netip.Addr, spec *provision.Spec) bool {
	if addr.Is6() {
		if at, err := netip.ParseAddr(c.state(card).Facts["address"]); err == nil && at.Is4() {
			return false
		}
	}
	if spec == nil || card == spec.MAC || !spec.Address.IsValid() || addr == spec.Address {
		return true
	}
	return c.state(card).Facts["address"] != spec.Address.String()
}

// stageOf returns the stage that a machine is in, as a boot client's packet shows.
func (c *Chain) stageOf(mac provision.MAC, kind dhcp.Kind, action provision.Action) provision.Stage {
	switch action {
	case provision.ActionDiscover:
		return provision.StageStranger
	case provision.ActionLocal:
		return provision.StageLocal
	}
	state := c.state(mac)
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
func (c *Chain) SawTransfer(remote netip.Addr, name string, size int64, err error) {
	mac, ok := c.hosts.Machine(remote.Unmap())
	if !ok || errors.Is(err, fs.ErrNotExist) && dialect.MayBeMissing(name) {
		return
	}
	name = printable(name)
	event := provision.Event{MAC: mac, Kind: provision.KindTFTP, Text: fmt.Sprintf("fetched %s by TFTP, %s", name, bytesize.Decimal(size))}
	if err != nil {
		event.Text, event.Reason = "could not fetch "+name+" by TFTP", printable(err.Error())
	} else {
		event.Stage = stageOfFile(name)
	}
	c.record(context.Background(), event)
}

// sawFetch records that a machine fetched a file by HTTP or HTTPS.
func (c *Chain) sawFetch(r *http.Request, stage provision.Stage, what string) {
	if r.Method != http.MethodGet {
		return
	}
	if mac, ok := c.hosts.Machine(remoteAddr(r)); ok {
		c.record(r.Context(), provision.Event{MAC: mac, Kind: provision.KindHTTP, Stage: stage, Text: "fetched " + printable(what) + " by " + protocol(r)})
	}
}

// sawRefusedClaim logs a refused claim, and records it if the machine is in the
// site.
func (c *Chain) sawRefusedClaim(r *http.Request, mac provision.MAC, err error) {
	c.logger().Warn("a claim was refused", "machine", mac, "from", r.RemoteAddr, "error", err)
	if parsed, bad := provision.ParseMAC(string(mac)); bad == nil && c.spec(parsed) != nil {
		c.record(r.Context(), provision.Event{MAC: parsed, Kind: provision.KindClaim, Text: "a claim was refused", Reason: err.Error()})
	}
}

// maxShown is how many bytes of a client's text are shown.
const maxShown = 512

// printable is what is shown of a client's text.
func printable(text string) string { return provision.Cut(text, maxShown) }

// foreign warns of a request for a machine that does not come from the address
// that DHCP gave to it. It returns "" if all is well, or if DHCP gave none.
//
// With IPv6 a card makes addresses of its own beside that of DHCP (RFC 4862) and asks
// from any of them. So only an address at which another card is known is foreign.
func (c *Chain) foreign(mac provision.MAC, asked netip.Addr) string {
	given := c.hosts.Given(mac, asked.Is6())
	if !given.IsValid() || given == asked {
		return ""
	}
	if at, known := c.hosts.Machine(asked); asked.Is6() && (!known || at == mac) {
		return ""
	}
	return fmt.Sprintf("warning: it asks from %s, and DHCP gave %s to this machine; if that is another host, find out which", asked, given)
}

// firmwareStarted is when a machine's firmware was last seen to start, or the
// zero time.
func (c *Chain) firmwareStarted(mac provision.MAC) time.Time {
	return c.state(mac).FirmwareStarted()
}

// KnowsHost says whether a machine of the site is at an address, as far as it was
// seen.
func (c *Chain) KnowsHost(addr netip.Addr) bool {
	mac, ok := c.hosts.Machine(addr)
	return ok && c.spec(mac) != nil
}

// sawHost remembers that a machine asks from an address.
func (c *Chain) sawHost(mac provision.MAC, addr netip.Addr) {
	if addr.IsValid() {
		c.hosts.Saw(mac, addr, c.spec(mac) != nil)
	}
}

// SawKit records that an image is ready, or why it cannot be booted. It is the
// Notify of a [depot.Depot]. It writes to the log, and to the trace of each
// machine that waits to install the image.
func (c *Chain) SawKit(key depot.Key, status depot.Status) {
	event := provision.Event{Kind: provision.KindLog, Text: "the image " + key.String() + " is ready"}
	if status.Err != nil {
		event.Text, event.Reason = "the image "+key.String()+" cannot be booted", status.Err.Error()
	} else {
		kit := status.Kit
		c.logger().Info("an image is ready", "image", key, "files", kit.Entries, "content", bytesize.Decimal(kit.Bytes),
			"pack", bytesize.Decimal(kit.Pack.Size), "kernel", kit.Kernels[0].Version)
	}
	if key.AsIs {
		return // whoever waits for it asks again
	}
	for _, mac := range c.Site.ByImage(key.Image) {
		if _, decision := c.decide(mac); decision.Action == provision.ActionInstall || key.Live && decision.Action == provision.ActionLive {
			event.MAC = mac
			c.record(context.Background(), event)
		}
	}
}
