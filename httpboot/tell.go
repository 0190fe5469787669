package httpboot

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/requests"
	"cloudlets/images/boot"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/rendering"
	"cloudlets/provision/wire"
)

// script answers an iPXE: what to do now, as a script.
func (c *Chain) script(w http.ResponseWriter, r *http.Request) {
	c.answer(w, r, "text/plain; charset=utf-8", dialect.IPXE{Base: c.scriptBase(r)})
}

// answer tells what to do now to somebody who asks by HTTP, in a dialect.
func (c *Chain) answer(w http.ResponseWriter, r *http.Request, contentType string, d dialect.Dialect) {
	mac, err := provision.ParseMAC(r.PathValue("mac"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return // HEAD has no effect; in particular it does not invalidate the current token
	}
	text := c.tell(r.Context(), mac, requests.RemoteAddr(r), d)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
}

// tell returns what a boot loader shall do for a machine, in its dialect, and
// records it for the machine's trace. from is where the loader asks from.
func (c *Chain) tell(ctx context.Context, mac provision.MAC, from netip.Addr, d dialect.Dialect) string {
	c.Meet(mac, "")
	text, event := c.next(ctx, mac, d)
	event.MAC = mac
	if agent, is := d.(dialect.Agent); is && agent.Asked {
		if event.Stage == provision.StageKernel {
			return text // its claim is recorded
		}
		event.Stage, event.Text, event.Booted = "", "the agent asks again: "+event.Text, nil
	}
	if err := c.told(ctx, from, event); err != nil {
		c.Logger().Warn("a machine was not told to boot", "machine", mac, "error", err)
		return d.Again(mac, "the server cannot note what this machine boots")
	}
	return text
}

// told records an event of a machine that was told what to do, and from where it asked.
// The error says that the order for it could not be used up.
func (c *Chain) told(ctx context.Context, from netip.Addr, event provision.Event) error {
	if warning := c.Foreign(event.MAC, from); warning != "" {
		// A person or another host looks. The machine is where it was.
		event.Reason, event.Stage, event.Facts = event.Reason+"; "+warning, "", nil
		if event.Kind == provision.KindFailed {
			event.Kind = provision.KindDecision
		}
		event.Booted = nil
	} else {
		event.Reason += "; asked from " + from.String()
		c.SawHost(event.MAC, from)
	}
	if event.Booted != nil {
		return c.takeBoot(ctx, event)
	}
	c.Record(ctx, event)
	return nil
}

// reason says why a decision was made, and by which rules the machine has its settings.
func reason(spec *provision.Spec, decision provision.Decision) string {
	if spec == nil || spec.Rules == nil {
		return decision.Reason
	}
	return decision.Reason + "; " + spec.Rules.String()
}

// toDisk is the event of a machine that is sent to its own disk.
func toDisk(mac provision.MAC, spec *provision.Spec, decision provision.Decision) provision.Event {
	event := provision.Event{MAC: mac, Kind: provision.KindDecision, Stage: provision.StageLocal, Text: "sent to its own disk", Reason: reason(spec, decision)}
	if !decision.Order.IsZero() {
		event.Booted = &provision.Booted{Boot: *decision.Boot, Order: decision.Order}
	}
	return event
}

// next decides what a machine's boot loader does next. It returns that in the
// loader's dialect, and as an event.
func (c *Chain) next(ctx context.Context, mac provision.MAC, d dialect.Dialect) (string, provision.Event) {
	spec, decision := c.Decide(mac)
	event := provision.Event{Kind: provision.KindDecision, Reason: reason(spec, decision)}
	key := depot.Key{}
	switch decision.Action {
	case provision.ActionLocal:
		return d.Leave(decision.Reason), toDisk(mac, spec, decision)
	case provision.ActionDiscover:
		event.Stage, event.Text = provision.StageStranger, "let go to its next boot device"
		return d.Leave(decision.Reason), event
	case provision.ActionInspect:
		spec = c.inspected(mac)
		key = kitKey(spec)
	case provision.ActionKernel:
		spec = spec.Booting(*decision.Boot)
		key = asIsKey(decision.Boot)
	case provision.ActionRescue:
		spec = spec.Booting(*decision.Boot)
		key = kitKey(spec)
	case provision.ActionLive:
		spec = spec.Booting(*decision.Boot)
		key = liveKey(spec)
	default:
		key = kitKey(spec)
	}
	wait, stop := context.WithTimeout(ctx, d.Patience())
	defer stop()
	kit, err := c.Depot.Kit(wait, key)
	if err != nil && wait.Err() != nil {
		event.Text, event.Reason = "told to ask again in a moment", err.Error()
		return d.Again(mac, "the image is being packed"), event
	}
	if err != nil && decision.Action == provision.ActionInspect {
		event.Text, event.Reason = "not inspected: the image for strangers cannot be booted", err.Error()
		return d.Leave(err.Error()), event
	}
	if err != nil && decision.Boot != nil {
		event.Text, event.Reason = "not booted: "+decision.Boot.String(), err.Error()
		return d.Leave(err.Error()), event
	}
	if err != nil {
		return unable(d, err), notBooted(event, "not installed: its image cannot be booted", err)
	}
	if decision.Action == provision.ActionInspect {
		return c.inspect(ctx, mac, spec, kit, d, event)
	}
	if decision.Action == provision.ActionKernel {
		return c.bootAsIs(ctx, mac, spec, decision, kit, d, event)
	}
	if decision.Action == provision.ActionRescue {
		return c.bootRescue(ctx, mac, spec, decision, kit, d, event)
	}
	if decision.Action == provision.ActionLive {
		return c.bootLive(ctx, mac, spec, decision, kit, d, event)
	}
	text, err := c.install(ctx, mac, spec, kit, d)
	if err != nil && requests.IsRefusal(err) {
		return unable(d, err), notBooted(event, "not installed", err)
	}
	if err != nil {
		event.Text, event.Reason = "not installed", err.Error()
		return unable(d, err), event
	}
	event.Stage = provision.StageKernel
	event.Text = fmt.Sprintf("boots kernel %s of %s to install it", kit.Kernels[0].Version, spec.Image)
	event.Facts = map[string]string{"image": spec.Image, "hostname": rendering.Hostname(spec)}
	return text, event
}

// notBooted is an event of a machine that shall be installed, and cannot even boot its
// agent. The install has failed until a person mends the cause.
func notBooted(event provision.Event, text string, err error) provision.Event {
	event.Kind, event.Text = provision.KindFailed, text+": "+err.Error()
	return event
}

// unable leaves because of an error that a person can mend. A boot loader goes on to the
// machine's next boot device, and an agent may wait.
func unable(d dialect.Dialect, err error) string {
	if agent, is := d.(dialect.Agent); is {
		return agent.Unable(err.Error())
	}
	return d.Leave(err.Error())
}

// order is a digest of what a person ordered for a machine: all that its file says, its
// image, and when its install was armed.
func (c *Chain) order(spec *provision.Spec, kit *depot.Kit) string {
	text := fmt.Sprintf("%s %d %+v %d", spec.Order(), spec.Retry, spec.System(kit.Pack.Digest, c.Tracker.Key()), c.State(spec.MAC).ArmedAt.UnixNano())
	return fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
}

// install boots the image's own kernel with the agent's RAM disk, in the dialect of
// a machine's loader. It first says the program without a token, so that a program
// that cannot be said costs the machine no token.
func (c *Chain) install(ctx context.Context, card provision.MAC, spec *provision.Spec, kit *depot.Kit, d dialect.Dialect) (string, error) {
	image, err := c.rendering(ctx, card, spec, kit, "", provision.Inventory{}).Image(ctx, kit.Image)
	if err != nil {
		return "", requests.RefusalUnless(ctx, fmt.Errorf("machine %s: %w", spec.MAC, err))
	}
	if err := c.Depot.SuitsSecureBoot(spec, kit); err != nil {
		return "", requests.Refusal(err)
	}
	// The words are those of the disk, since this kernel may switch to it.
	asked := image.Menu(rendering.DiskOptions(spec))[0].Cmdline
	p := dialect.Program{MAC: card, Image: spec.Image, Kernel: kit.Kernel, RAMDisk: kit.RAMDisk, Cmdline: asked}
	if _, err := d.Boot(p); err != nil {
		return "", requests.Refusal(fmt.Errorf("the kernel command line of %s: %w", spec.MAC, err))
	}
	token, err := c.Tickets.Issue(ctx, spec.MAC)
	if err != nil {
		return "", err
	}
	p.Order = c.order(spec, kit)
	params := wire.Params{Servers: c.servers(ctx, spec), MAC: card, Token: token}
	if c.updates(spec.MAC, spec) {
		params.OnFailure = "reboot" // into the system that it has
	}
	p.Cmdline = boot.JoinWords(asked, params.Cmdline())
	return d.Boot(p)
}
