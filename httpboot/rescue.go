package httpboot

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/requests"
	"cloudlets/images/boot"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/rendering"
	"cloudlets/provision/tickets"
	"cloudlets/provision/wire"
)

// bootRescue boots the agent with words that let it start a rescue system and no more:
// there is no token for a plan, so there can be no plan. The spec has the image whose
// files the system has.
func (c *Chain) bootRescue(ctx context.Context, card provision.MAC, spec *provision.Spec, decision provision.Decision, kit *depot.Kit, d dialect.Dialect, event provision.Event) (string, provision.Event) {
	return bootInMemory(spec, decision, kit, d, event, "for a rescue, and no disk is written", func(booted provision.Booted) (string, error) {
		return c.rescuer(ctx, card, spec, booted, kit, d)
	})
}

// bootInMemory boots the agent for what is started in memory, and what for is told in the
// machine's trace. Program says it in the loader's dialect.
func bootInMemory(spec *provision.Spec, decision provision.Decision, kit *depot.Kit, d dialect.Dialect, event provision.Event, what string, program func(provision.Booted) (string, error)) (string, provision.Event) {
	booted := provision.Booted{Boot: *decision.Boot, ID: newBootID(), Order: decision.Order}
	text, err := program(booted)
	if err != nil {
		event.Text, event.Reason = "not booted: "+decision.Boot.String(), err.Error()
		return d.Leave(err.Error()), event
	}
	event.Stage, event.Booted = provision.StageKernel, &booted
	event.Text = fmt.Sprintf("boots kernel %s of %s %s", kit.Kernels[0].Version, spec.Image, what)
	return text, event
}

func (c *Chain) rescuer(ctx context.Context, card provision.MAC, spec *provision.Spec, booted provision.Booted, kit *depot.Kit, d dialect.Dialect) (string, error) {
	image, err := c.rendering(ctx, card, spec, kit, "", provision.Inventory{}).Image(ctx, kit.Image)
	if err != nil {
		return "", fmt.Errorf("machine %s: %w", spec.MAC, err)
	}
	if err := c.Depot.SuitsSecureBoot(spec, kit); err != nil {
		return "", err
	}
	params := wire.Params{Servers: c.servers(ctx, spec), MAC: card, Rescue: true, Token: booted.RescueToken(spec.MAC, c.Tracker.Key())}
	cmdline := boot.JoinWords(image.Menu(rendering.DiskOptions(spec))[0].Cmdline, params.Cmdline())
	return d.Boot(dialect.Program{MAC: card, Image: spec.Image, Kernel: kit.Kernel, RAMDisk: kit.RAMDisk, Cmdline: cmdline, Rescues: true})
}

// rescue tells the agent of a rescue what to start. It may ask again, until the machine
// is told to boot again.
func (c *Chain) rescue(w http.ResponseWriter, r *http.Request) {
	request, spec, booted, err := c.rescueRequest(w, r)
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	wait, stop := context.WithTimeout(r.Context(), claimWait)
	defer stop()
	kit, err := c.Depot.Kit(wait, kitKey(spec))
	if err != nil {
		requests.Refuse(w, requests.RefusalUnless(wait, err))
		return
	}
	c.SawHost(request.MAC, requests.RemoteAddr(r))
	answer := wire.Rescue{
		Image: spec.Image, Hostname: rendering.Hostname(spec), Pack: blob(kit.Pack, "pack"), Mount: booted.Mount,
		SSHKeys: c.rescueKeys(spec), Servers: c.servers(r.Context(), spec),
	}
	event := provision.Event{
		MAC: request.MAC, Kind: provision.KindStage, Stage: provision.StageRescue, Reason: c.Foreign(request.MAC, requests.RemoteAddr(r)),
		Text: fmt.Sprintf("the agent is up at %s, and unpacks %s into memory", requests.RemoteAddr(r), spec.Image),
	}
	if err := c.Tracker.Record(r.Context(), c.Of(event)); err != nil {
		requests.Refuse(w, err)
		return
	}
	requests.WriteJSON(w, answer)
}

// rescueSaid records how a rescue goes on. A failure is not that of an install, and the
// machine stays in its stage, with the reason in its trace.
func (c *Chain) rescueSaid(w http.ResponseWriter, r *http.Request) {
	request, _, _, err := c.rescueRequest(w, r)
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	event := provision.Event{MAC: request.MAC, Kind: provision.KindStage, Stage: provision.StageRescue, Text: request.Text, Reason: c.Foreign(request.MAC, requests.RemoteAddr(r))}
	if request.Failure != "" {
		event.Text, event.Reason = "the rescue system does not start; nothing was written", request.Failure
	}
	if c.rescues.allow(c.Machine(request.MAC), 1, maxConsoleFailure) > 0 {
		if err := c.Tracker.Record(r.Context(), c.Of(event)); err != nil {
			requests.Refuse(w, err)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// rescueRequest reads what the agent of a rescue sends, and returns the spec with the
// image that it starts, and its boot. The error is a refusal if its token is not that of
// the machine's latest boot.
func (c *Chain) rescueRequest(w http.ResponseWriter, r *http.Request) (request wire.RescueRequest, spec *provision.Spec, booted provision.Booted, err error) {
	if err := requests.ReadJSON(w, r, &request); err != nil {
		return request, nil, booted, requests.Refusal(fmt.Errorf("read the request of a rescue: %s", requests.Printable(err.Error())))
	}
	card, err := provision.ParseMAC(string(request.MAC))
	if err == nil {
		request.MAC = card
		spec, booted, err = c.bootOf(r.Context(), card, request.Token, provision.Booted.RescueToken)
	}
	if err == nil && (spec == nil || booted.Kind != provision.BootRescue) {
		err = fmt.Errorf("%w: this is not the token that %s was booted with for a rescue: order it again with `cloudlets boot %[2]s --once rescue`, and restart the machine", tickets.ErrRefused, requests.Printable(string(request.MAC)))
	}
	return request, spec, booted, err
}

// rescueKeys are the site's keys and the machine's, which may log in to its rescue system.
func (c *Chain) rescueKeys(spec *provision.Spec) []string {
	var keys []string
	if c.Rescue != nil {
		keys = c.Rescue().SSHKeys
	}
	if spec.Rescue != nil {
		keys = slices.Concat(keys, spec.Rescue.SSHKeys)
	}
	return keys
}
