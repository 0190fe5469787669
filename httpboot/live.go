package httpboot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/requests"
	"cloudlets/httpboot/turns"
	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/bytesize"
	"cloudlets/images/pack"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/rendering"
	"cloudlets/provision/tickets"
	"cloudlets/provision/wire"
)

func liveKey(spec *provision.Spec) depot.Key {
	key := kitKey(spec)
	key.Live = true
	return key
}

// bootLive boots the agent with words that let it start the image's system in memory and
// no more. The spec has the image.
func (c *Chain) bootLive(ctx context.Context, card provision.MAC, spec *provision.Spec, decision provision.Decision, kit *depot.Kit, d dialect.Dialect, event provision.Event) (string, provision.Event) {
	text, event := bootInMemory(spec, decision, kit, d, event, "to start it in memory, and nothing is installed", func(booted provision.Booted) (string, error) {
		return c.liveProgram(ctx, card, spec, booted, kit, d)
	})
	if event.Booted != nil {
		event.Facts = map[string]string{"image": spec.Image, "hostname": rendering.Hostname(spec)}
	}
	return text, event
}

func (c *Chain) liveProgram(ctx context.Context, card provision.MAC, spec *provision.Spec, booted provision.Booted, kit *depot.Kit, d dialect.Dialect) (string, error) {
	image, err := c.liveRendering(ctx, card, spec, kit, provision.Inventory{}).Image(ctx, kit.Image)
	if err != nil {
		return "", fmt.Errorf("machine %s: %w", spec.MAC, err)
	}
	if err := c.Depot.SuitsSecureBoot(spec, kit); err != nil {
		return "", err
	}
	params := wire.Params{
		Servers: c.servers(ctx, spec), MAC: card, Live: true, Token: booted.LiveToken(spec.MAC, c.Tracker.Key()),
		OnFailure: "reboot", // it has nothing else to do, and nobody walks to it for a server that was away
	}
	cmdline := boot.JoinWords(image.Kernels[0].Cmdline, spec.Cmdline, params.Cmdline())
	return d.Boot(dialect.Program{MAC: card, Image: spec.Image, Kernel: kit.Kernel, RAMDisk: kit.RAMDisk, Cmdline: cmdline, Lives: true})
}

// liveRendering renders an image for a machine that has it in memory.
func (c *Chain) liveRendering(ctx context.Context, card provision.MAC, spec *provision.Spec, kit *depot.Kit, inventory provision.Inventory) rendering.Renderer {
	r := c.rendering(ctx, card, spec, kit, "", inventory)
	r.Env["target"] = "live"
	return r
}

// live tells the agent of a live machine what to start.
func (c *Chain) live(w http.ResponseWriter, r *http.Request) {
	if c.claims.Full(claimBounds()) {
		requests.Refuse(w, turns.ErrBusy)
		return
	}
	request, spec, booted, err := c.liveRequest(w, r, provision.Booted.LiveToken)
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	mark := booted.NonceMark(request.Nonce, c.Tracker.Key())
	allowed := func(state provision.State) error {
		if err := state.CheckTold(booted, mark); err != nil {
			return requests.Refusal(err)
		}
		return nil
	}
	if err := allowed(c.State(spec.MAC)); err != nil {
		requests.Refuse(w, err)
		return
	}
	c.SawHost(request.MAC, requests.RemoteAddr(r))
	hardware := hardwareWithoutDisks(request, c.State(spec.MAC).Found)
	c.judgeRules(r.Context(), spec.MAC, hardware)
	if now := c.Spec(spec.MAC); now != nil { // as the rules of its profiles have it
		spec = now.Booting(booted.Boot)
	}
	answer, event, err := c.planLive(r.Context(), request, spec, booted)
	if err != nil {
		if requests.IsRefusal(err) { // otherwise the agent asks again
			c.Record(r.Context(), c.Of(provision.Event{MAC: request.MAC, Kind: provision.KindFailed, Stage: provision.StageFailed, Again: true, Text: "its system is not started in memory: " + err.Error()}))
		}
		requests.Refuse(w, err)
		return
	}
	event.MAC, event.Reason, event.Found, event.Nonce = request.MAC, c.Foreign(request.MAC, requests.RemoteAddr(r)), hardware, mark
	event.Text = fmt.Sprintf("the agent is up at %s, and starts %s in memory", requests.RemoteAddr(r), answer.Image)
	if err := c.Tracker.RecordWith(r.Context(), c.Of(event), allowed, nil); err != nil {
		requests.Refuse(w, err)
		return
	}
	requests.WriteJSON(w, answer)
}

// hardwareWithoutDisks are the attributes of a live machine. Its agent does not wait for
// disks, so what is known of them stays.
func hardwareWithoutDisks(request wire.LiveRequest, before map[string]string) map[string]string {
	all := provision.Inspection{Inventory: request.Inventory, Card: request.MAC}.Bounded().AttributesAfter(before)
	all["disks"] = before["disks"]
	return all
}

// planLive makes what a live machine's agent is told, and the event of that.
func (c *Chain) planLive(ctx context.Context, request wire.LiveRequest, spec *provision.Spec, booted provision.Booted) (wire.Live, provision.Event, error) {
	wait, stop := context.WithTimeout(ctx, claimWait)
	defer stop()
	kit, err := c.Depot.Kit(wait, liveKey(spec))
	if err != nil {
		return wire.Live{}, provision.Event{}, requests.RefusalUnless(wait, err)
	}
	if err := kit.Kernels[0].Check(request.Inventory.Arch); err != nil {
		return wire.Live{}, provision.Event{}, requests.Refusal(err)
	}
	end, err := c.takeClaim(ctx)
	if err != nil {
		return wire.Live{}, provision.Event{}, err
	}
	defer end()
	tree, done, err := c.Depot.OpenPack(kit.Pack)
	if err != nil {
		return wire.Live{}, provision.Event{}, err
	}
	defer done()
	system := spec.System(kit.Pack.Digest, c.Tracker.Key())
	system.ID, system.Keeps, system.Hints = booted.ID, false, provision.DiskHints{}
	render := c.liveRendering(ctx, request.MAC, spec, kit, request.Inventory)
	recipe := overlayRecipe{Image: spec.Image, EntryPoint: spec.EntryPoint, Env: render.Env}
	recipe.Recipe = c.Systems.Recipe(spec, &system, c.plainServers(ctx))
	if !spec.Silent {
		recipe.Env["running"] = recipe.Running[0]
	}
	files, err := c.renderOverlay(ctx, render, tree, recipe)
	if err != nil {
		return wire.Live{}, provision.Event{}, err
	}
	var packed bytes.Buffer
	if _, err := pack.Write(ctx, &packed, files.layer, pack.Options{Workers: 1}); err != nil {
		return wire.Live{}, provision.Event{}, fmt.Errorf("machine %s: pack its own files: %w", spec.MAC, err)
	}
	if packed.Len() > wire.MaxOverlay {
		return wire.Live{}, provision.Event{}, requests.Refusal(fmt.Errorf("machine %s: its templates become %s, and a live machine takes at most %s", spec.MAC, bytesize.Decimal(int64(packed.Len())), bytesize.Decimal(wire.MaxOverlay)))
	}
	system.Tells = files.tells
	c.warnOfLive(ctx, spec, tree, files.warning)
	facts := request.Inventory.Facts()
	facts["image"], facts["pack"], facts["hostname"] = spec.Image, kit.Pack.Digest, rendering.Hostname(spec)
	event := provision.Event{Kind: provision.KindStage, Stage: provision.StageLive, System: &system, Facts: facts}
	told := wire.Live{
		Image: spec.Image, SaidToken: booted.LiveSaidToken(spec.MAC, c.Tracker.Key()), Kernel: kit.Kernels[0].Version, Init: kit.Init, Root: blob(kit.Root.File, "root"), Chunks: blob(kit.Root.Chunks, "chunks"),
		Overlay: packed.Bytes(), Disk: spec.Disk, Servers: c.servers(ctx, spec),
	}
	if own := c.Spec(spec.MAC); own != nil && own.Image == spec.Image && spec.Persistent > 0 {
		told.Places = kit.Places // what another image keeps is not for the machine's own data
	}
	return told, event, nil
}

// warnOfLive tells in the machine's trace what its system will lack.
func (c *Chain) warnOfLive(ctx context.Context, spec *provision.Spec, tree images.Tree, network error) {
	if network != nil {
		c.Record(ctx, provision.Event{MAC: spec.MAC, Kind: provision.KindLog, Text: `warning: its system does not get the "network" of its file`, Reason: network.Error()})
	}
	c.Systems.Warn(ctx, spec, tree)
}

// liveSaid records how a live machine's start goes on.
func (c *Chain) liveSaid(w http.ResponseWriter, r *http.Request) {
	request, _, _, err := c.liveRequest(w, r, provision.Booted.LiveSaidToken)
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	event := provision.Event{MAC: request.MAC, Kind: provision.KindLog, Text: request.Text, Reason: c.Foreign(request.MAC, requests.RemoteAddr(r))}
	if request.Failure != "" {
		event.Kind, event.Stage, event.Again = provision.KindFailed, provision.StageFailed, true
		event.Text = "its system is not started in memory: " + request.Failure
	}
	if c.rescues.allow(c.Machine(request.MAC), 1, maxConsoleFailure) > 0 {
		if err := c.Tracker.Record(r.Context(), c.Of(event)); err != nil {
			requests.Refuse(w, err)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// liveRequest reads what the agent of a live machine sends, and returns the spec with the
// image that it starts, and its boot. The error is a refusal if its token is not the one of
// the machine's latest boot for that purpose. The token is checked before the inventory is
// read.
func (c *Chain) liveRequest(w http.ResponseWriter, r *http.Request, secret bootSecret) (request wire.LiveRequest, spec *provision.Spec, booted provision.Booted, err error) {
	var raw struct {
		wire.LiveRequest
		Inventory json.RawMessage `json:"inventory"`
	}
	if err := requests.ReadJSON(w, r, &raw); err != nil {
		return request, nil, booted, requests.Refusal(fmt.Errorf("read the request of a live machine: %s", requests.Printable(err.Error())))
	}
	request = raw.LiveRequest
	card, err := provision.ParseMAC(string(request.MAC))
	if err == nil {
		request.MAC = card
		spec, booted, err = c.bootOf(r.Context(), card, request.Token, secret)
	}
	if err == nil && (spec == nil || booted.Kind != provision.BootLive) {
		err = fmt.Errorf("%w: this is not the token that %s was booted with to start its system in memory: restart the machine, so that it gets its own", tickets.ErrRefused, requests.Printable(string(request.MAC)))
	}
	if err == nil && raw.Inventory != nil {
		if bad := json.Unmarshal(raw.Inventory, &request.Inventory); bad != nil {
			err = requests.Refusal(fmt.Errorf("read the inventory of %s: %s; the agent is of another version than the server", card, requests.Printable(bad.Error())))
		}
	}
	return request, spec, booted, err
}
