package httpboot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"cloudlets/httpboot/requests"
	"cloudlets/httpboot/turns"
	"cloudlets/images"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/target"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/rendering"
	"cloudlets/provision/tickets"
	"cloudlets/provision/wire"
)

// claimWait is how long a claim waits for an image that is packed anew. An
// agent waits a little longer for the answer, and then asks again.
const claimWait = 20 * time.Second

// claimRequest is a [wire.ClaimRequest] whose inventory is not read yet. Reading
// it costs memory, so the token is checked first.
type claimRequest struct {
	wire.ClaimRequest
	Inventory json.RawMessage `json:"inventory"`
}

// claim gives an agent its plan.
func (c *Chain) claim(w http.ResponseWriter, r *http.Request) {
	if c.claims.Full(claimBounds()) {
		requests.Refuse(w, turns.ErrBusy)
		return
	}
	var request claimRequest
	if err := requests.ReadJSON(w, r, &request); err != nil {
		http.Error(w, "read claim: "+requests.Printable(err.Error()), http.StatusBadRequest)
		return
	}
	session, err := c.Tickets.Claim(r.Context(), request.Token, tickets.Claimant{
		Nonce: request.Nonce, Addr: requests.RemoteAddr(r), Started: c.FirmwareStarted,
	})
	if err != nil {
		c.sawRefusedClaim(r, request.MAC, err)
		requests.Refuse(w, err)
		return
	}
	if err := json.Unmarshal(request.Inventory, &request.ClaimRequest.Inventory); err != nil {
		err = requests.Refusal(fmt.Errorf("read the inventory in the claim of %s: %s; the agent is of another version than the server", session.MAC, requests.Printable(err.Error())))
		c.Record(r.Context(), c.noPlan(session.MAC, err))
		requests.Refuse(w, err)
		return
	}
	c.answerClaim(w, r, session, request.ClaimRequest)
}

// answerClaim tells the agent of a session its plan, or why there is none.
func (c *Chain) answerClaim(w http.ResponseWriter, r *http.Request, session tickets.Session, request wire.ClaimRequest) {
	card := session.MAC
	if c.Machine(request.MAC) == session.MAC {
		card = request.MAC
	}
	c.SawHost(card, requests.RemoteAddr(r))
	hardware := provision.Inspection{Inventory: request.Inventory, Card: card}.Bounded().AttributesAfter(c.State(session.MAC).Found)
	c.judgeRules(r.Context(), session.MAC, hardware)
	made, err := c.plan(r.Context(), session, request)
	if err != nil {
		if !errors.Is(err, turns.ErrBusy) {
			c.Record(r.Context(), c.noPlan(session.MAC, err))
		}
		requests.Refuse(w, err)
		return
	}
	plan, facts := made.plan, request.Inventory.Facts()
	facts["image"], facts["pack"], facts["hostname"] = plan.Image, plan.Pack.Digest, plan.Hostname
	event := provision.Event{
		MAC: card, Kind: provision.KindClaim, Stage: provision.StageAgent, Facts: facts, Found: hardware, System: &made.system, Confirm: plan.Confirm,
		Text: fmt.Sprintf("the agent is up at %s and claimed its plan by %s: %s on %s, then %s",
			requests.RemoteAddr(r), requests.Protocol(r), plan.Image, describeDisks(request.Inventory.Disks), plan.Handover),
		Reason: c.Foreign(card, requests.RemoteAddr(r)),
	}
	// An install that leaves no trace, or was cancelled while its plan was made, must not begin.
	if err := c.Tracker.RecordWith(r.Context(), c.Of(event), c.stillWanted(session.MAC, made.armed), c.Tickets.Noting(session.Secret, made.note)); err != nil {
		requests.Refuse(w, err)
		return
	}
	requests.WriteJSON(w, plan)
}

// judgeRules has the rules of a machine's profiles judged by the hardware that its agent
// has just told, before a plan is made. An install that was armed for another disk or
// another image is refused then, as after any change of its files.
func (c *Chain) judgeRules(ctx context.Context, mac provision.MAC, hardware map[string]string) {
	spec := c.Spec(mac)
	if spec == nil || spec.Rules.JudgedBy(hardware) {
		return
	}
	c.Record(ctx, provision.Event{MAC: mac, Kind: provision.KindLog, Text: "its agent told its hardware", Found: hardware})
	c.Site.Refresh()
	if spec = c.Spec(mac); spec != nil {
		c.Record(ctx, provision.Event{MAC: mac, Kind: provision.KindLog, Text: "the rules of its profiles were judged by its hardware", Reason: spec.Rules.String()})
	}
}

// stillWanted says, by the state in the store, whether the machine shall still be
// installed: it may have been cancelled while its plan was made. If it was armed again,
// the agent asks once more, since the plan may allow what the new order does not.
func (c *Chain) stillWanted(mac provision.MAC, armed time.Time) func(provision.State) error {
	return func(state provision.State) error {
		if !state.ArmedAt.Equal(armed) {
			return requests.ErrChanged
		}
		if decision := provision.Decide(c.Spec(mac), state); decision.Action != provision.ActionInstall {
			return requests.Refusal(fmt.Errorf("%s shall not be installed any more: %s", mac, decision.Reason))
		}
		return nil
	}
}

// noPlan is the event of a claim without a plan. A refusal ends the install,
// since only a person can mend its cause. After other errors the agent asks
// again. A machine that would have been updated is disarmed: it starts the system that it
// has, and must not come back for the same.
func (c *Chain) noPlan(mac provision.MAC, err error) provision.Event {
	if requests.IsRefusal(err) {
		return provision.Event{MAC: mac, Kind: provision.KindFailed, Stage: provision.StageFailed, Text: err.Error(), Beside: c.updates(mac, c.Spec(mac))}
	}
	return provision.Event{MAC: mac, Kind: provision.KindLog, Text: "no plan yet; the agent asks again", Reason: err.Error()}
}

// updates says whether an install of a machine leaves the system that it has as it is.
func (c *Chain) updates(mac provision.MAC, spec *provision.Spec) bool {
	state := c.State(mac)
	return spec != nil && spec.Slots == 2 && state.Has != nil && state.Has.Slot != "" && !state.Wipe
}

func describeDisks(disks []provision.DiskInfo) string {
	if len(disks) == 0 {
		return "no disk at all"
	}
	names := make([]string, len(disks))
	for i, d := range disks {
		names[i] = d.String()
	}
	return strings.Join(names, " or ")
}

// promise is what comes of a claim.
type promise struct {
	plan wire.Plan
	// system is what the machine has when the plan is carried out.
	system provision.System
	// note is that by which other servers can go on with the plan.
	note []byte
	// armed is when the install was armed that the plan is made for.
	armed time.Time
}

// plan makes the plan of a machine for an agent with a valid session. It refuses an
// install that cannot succeed.
func (c *Chain) plan(ctx context.Context, session tickets.Session, request wire.ClaimRequest) (promise, error) {
	if c.Machine(request.MAC) != session.MAC {
		return promise{}, requests.Refusal(fmt.Errorf("the token is of %s, and %s claims it: restart the machine so that it gets its own", session.MAC, request.MAC))
	}
	spec, decision := c.Decide(session.MAC)
	if decision.Action != provision.ActionInstall {
		return promise{}, requests.Refusal(fmt.Errorf("%s shall not be installed: %s", session.MAC, decision.Reason))
	}
	wait, stop := context.WithTimeout(ctx, claimWait)
	defer stop()
	kit, err := c.Depot.Kit(wait, kitKey(spec))
	if err != nil {
		return promise{}, requests.RefusalUnless(wait, err)
	}
	state, _ := c.Tracker.State(session.MAC)
	if err := errors.Join(state.Pin.CheckPack(spec, kit.Pack.Digest), c.Depot.Suits(spec, kit, request.Inventory.Arch)); err != nil {
		return promise{}, requests.Refusal(err)
	}
	end, err := c.takeClaim(ctx)
	if err != nil {
		return promise{}, err
	}
	defer end()
	tree, done, err := c.Depot.OpenPack(kit.Pack)
	if err != nil {
		return promise{}, err
	}
	defer done()
	chosen, err := chooseDisk(spec, request.Inventory.Disks)
	if err != nil {
		return promise{}, requests.Refusal(err)
	}
	render := c.rendering(ctx, request.MAC, spec, kit, chosen.Name, request.Inventory)
	wanted, err := c.planDisk(ctx, render, kit, tree, request.Inventory)
	if err != nil {
		return promise{}, requests.RefusalUnless(ctx, fmt.Errorf("machine %s: %w", spec.MAC, err))
	}
	system := spec.System(kit.Pack.Digest, c.Tracker.Key())
	system.ID = provision.SystemID(session.Secret, c.Tracker.Key())
	recipe := overlayRecipe{Image: spec.Image, EntryPoint: spec.EntryPoint, Env: render.Env}
	recipe.Recipe = c.Systems.Recipe(spec, &system, c.plainServers(ctx))
	if !spec.Silent {
		recipe.Env["running"] = recipe.Running[0]
	}
	made, err := c.makeOverlay(ctx, render, tree, recipe)
	if err != nil {
		return promise{}, err
	}
	if made.warning != nil {
		c.Record(ctx, provision.Event{
			MAC: spec.MAC, Kind: provision.KindLog,
			Text: `warning: the installed system does not get the "network" of its file`, Reason: made.warning.Error(),
		})
	}
	c.Systems.Warn(ctx, spec, tree)
	system.Tells, recipe.Digest = made.tells && spec.Handover != provision.PowerOff, made.Digest
	note, err := json.Marshal(recipe)
	if err != nil {
		return promise{}, err
	}
	plan := newPlan(session, spec, kit, wanted, made.Blob, state.Wipe)
	plan.Confirm = spec.Confirm || state.Confirm
	if state.Rollback != "" {
		if state.Kept == nil || state.Kept.ID != state.Rollback {
			return promise{}, requests.ErrChanged
		}
		plan.Rollback = state.Kept.Slot
	}
	plan.Card, plan.Servers = request.MAC, c.servers(ctx, spec)
	return promise{plan, system, note, state.ArmedAt}, nil
}

// chooseDisk returns the disk that a machine's file selects; of a mirror the first one.
func chooseDisk(spec *provision.Spec, disks []provision.DiskInfo) (provision.DiskInfo, error) {
	if spec.Mirror {
		both, err := provision.SelectMirror(spec.Disk, disks)
		return both[0], err
	}
	return provision.SelectDisk(spec.Disk, disks)
}

func newPlan(session tickets.Session, spec *provision.Spec, kit *depot.Kit, wanted target.Plan, overlay wire.Blob, wipe bool) wire.Plan {
	plan := wire.Plan{
		MAC: session.MAC, Session: session.Secret, Image: spec.Image, Hostname: rendering.Hostname(spec),
		Disk: spec.Disk, Wipe: wipe, Retry: spec.Retry, Handover: spec.Handover, BootEntry: spec.BootEntry, Target: wanted,
		Init: kit.Init, Pack: blob(kit.Pack, "pack"), Overlay: overlay,
		BootLoaders: map[string]wire.Blob{}, ImageManifest: kit.Manifest.JSON(),
	}
	if wanted.Preinit() {
		plan.Init = target.PreinitPath
	}
	if wanted.Mirror {
		plan.RAMDisk = blob(kit.RAMDisk, "mirror.img")
	}
	for _, name := range wanted.LoaderNames() {
		plan.BootLoaders[name] = blob(kit.Loaders[name], name)
	}
	return plan
}

func blob(f depot.File, name string) wire.Blob {
	return wire.Blob{Path: depot.FilePath(f.Digest, name), Size: f.Size, Digest: f.Digest}
}

// rendering renders a kit for the machine that has a card. The disk is "" while none
// is chosen, and the inventory empty while none was told.
func (c *Chain) rendering(ctx context.Context, card provision.MAC, spec *provision.Spec, kit *depot.Kit, chosen string, inventory provision.Inventory) rendering.Renderer {
	facts := rendering.Facts{Server: c.base(ctx), Disk: chosen, Address: c.Leased(card), Hardware: c.factsFor(ctx, spec.MAC, inventory)}
	return c.renderer(spec, kit, rendering.Environment(spec, kit.Kernels[0].Entry, facts))
}

func (c *Chain) renderer(spec *provision.Spec, kit *depot.Kit, env map[string]any) rendering.Renderer {
	return rendering.Renderer{Spec: spec, Manifest: kit.Manifest, Render: c.Render, Env: env}
}

// planDisk plans the disk of a machine. What would fail only when the disk is
// made bootable is refused here.
func (c *Chain) planDisk(ctx context.Context, render rendering.Renderer, kit *depot.Kit, tree images.Tree, inventory provision.Inventory) (target.Plan, error) {
	spec := render.Spec
	image, err := render.Image(ctx, kit.Image)
	if err != nil {
		return target.Plan{}, err
	}
	for _, notice := range image.Notices {
		c.Record(ctx, provision.Event{MAC: spec.MAC, Kind: provision.KindLog, Text: "warning: the installed system may not start", Reason: notice})
	}
	options := rendering.DiskOptions(spec)
	options.ID, options.Arch, options.MirrorRAMDisk = uuid.New(), bootloader.Arch(inventory.Arch), kit.RAMDisk.Size
	if spec.SecureBoot == provision.ByOwner {
		return c.planSigned(ctx, image, options, kit, tree)
	}
	plan, err := target.NewPlan(image, options)
	if err != nil {
		return plan, err
	}
	return plan, plan.CheckMenu(tree)
}

// sawRefusedClaim logs a refused claim, and records it if the machine is in the
// site.
func (c *Chain) sawRefusedClaim(r *http.Request, mac provision.MAC, err error) {
	c.Logger().Warn("a claim was refused", "machine", mac, "from", r.RemoteAddr, "error", err)
	if parsed, bad := provision.ParseMAC(string(mac)); bad == nil && c.Spec(parsed) != nil {
		c.Record(r.Context(), provision.Event{MAC: parsed, Kind: provision.KindClaim, Text: "a claim was refused", Reason: err.Error()})
	}
}
