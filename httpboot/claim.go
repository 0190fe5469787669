package httpboot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"cloudlets/images"
	"cloudlets/images/disk"
	"cloudlets/images/target"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/track"
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
	if c.claims.full(claimBounds()) {
		refuse(w, errBusy)
		return
	}
	var request claimRequest
	if err := readJSON(w, r, &request); err != nil {
		http.Error(w, "read claim: "+printable(err.Error()), http.StatusBadRequest)
		return
	}
	session, err := c.Tickets.Claim(r.Context(), request.Token, track.Claimant{
		Nonce: request.Nonce, Addr: remoteAddr(r), Started: c.firmwareStarted,
	})
	if err != nil {
		c.sawRefusedClaim(r, request.MAC, err)
		refuse(w, err)
		return
	}
	if err := json.Unmarshal(request.Inventory, &request.ClaimRequest.Inventory); err != nil {
		err = &refusal{fmt.Errorf("read the inventory in the claim of %s: %s; the agent is of another version than the server", session.MAC, printable(err.Error()))}
		c.record(r.Context(), noPlan(session.MAC, err))
		refuse(w, err)
		return
	}
	c.answerClaim(w, r, session, request.ClaimRequest)
}

// answerClaim tells the agent of a session its plan, or why there is none.
func (c *Chain) answerClaim(w http.ResponseWriter, r *http.Request, session track.Session, request wire.ClaimRequest) {
	card := session.MAC
	if c.machine(request.MAC) == session.MAC {
		card = request.MAC
	}
	c.sawHost(card, remoteAddr(r))
	made, err := c.plan(r.Context(), session, request)
	if err != nil {
		if !errors.Is(err, errBusy) {
			c.record(r.Context(), noPlan(session.MAC, err))
		}
		refuse(w, err)
		return
	}
	plan, facts := made.plan, request.Inventory.Facts()
	facts["image"], facts["pack"], facts["hostname"] = plan.Image, plan.Pack.Digest, plan.Hostname
	event := provision.Event{
		MAC: card, Kind: provision.KindClaim, Stage: provision.StageAgent, Facts: facts, System: &made.system,
		Text: fmt.Sprintf("the agent is up at %s and claimed its plan by %s: %s on %s, then %s",
			remoteAddr(r), protocol(r), plan.Image, describeDisks(request.Inventory.Disks), plan.Handover),
		Reason: c.foreign(card, remoteAddr(r)),
	}
	// An install that leaves no trace, or was cancelled while its plan was made, must not begin.
	if err := c.Tracker.RecordWith(r.Context(), c.of(event), c.stillWanted(session.MAC), c.Tickets.Noting(session.Secret, made.note)); err != nil {
		refuse(w, err)
		return
	}
	writeJSON(w, plan)
}

// stillWanted says, by the state in the store, whether the machine shall still be
// installed: it may have been cancelled while its plan was made.
func (c *Chain) stillWanted(mac provision.MAC) func(provision.State) error {
	return func(state provision.State) error {
		if decision := provision.Decide(c.spec(mac), state); decision.Action != provision.ActionInstall {
			return &refusal{fmt.Errorf("%s shall not be installed any more: %s", mac, decision.Reason)}
		}
		return nil
	}
}

// noPlan is the event of a claim without a plan. A refusal ends the install,
// since only a person can mend its cause. After other errors the agent asks
// again.
func noPlan(mac provision.MAC, err error) provision.Event {
	if isRefusal(err) {
		return provision.Event{MAC: mac, Kind: provision.KindFailed, Stage: provision.StageFailed, Text: err.Error()}
	}
	return provision.Event{MAC: mac, Kind: provision.KindLog, Text: "no plan yet; the agent asks again", Reason: err.Error()}
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
}

// plan makes the plan of a machine for an agent with a valid session. It refuses an
// install that cannot succeed.
func (c *Chain) plan(ctx context.Context, session track.Session, request wire.ClaimRequest) (promise, error) {
	if c.machine(request.MAC) != session.MAC {
		return promise{}, &refusal{fmt.Errorf("the token is of %s, and %s claims it: restart the machine so that it gets its own", session.MAC, request.MAC)}
	}
	spec, decision := c.decide(session.MAC)
	if decision.Action != provision.ActionInstall {
		return promise{}, &refusal{fmt.Errorf("%s shall not be installed: %s", session.MAC, decision.Reason)}
	}
	wait, stop := context.WithTimeout(ctx, claimWait)
	defer stop()
	kit, err := c.Depot.Kit(wait, kitKey(spec))
	if err != nil {
		return promise{}, refusalUnless(wait, err)
	}
	state, _ := c.Tracker.State(session.MAC)
	if err := errors.Join(state.Pin.CheckPack(spec, kit.Pack.Digest), c.suits(spec, kit, request.Inventory)); err != nil {
		return promise{}, &refusal{err}
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
	wanted, err := c.planDisk(ctx, spec, kit, tree, request.Inventory)
	if err != nil {
		return promise{}, refusalUnless(ctx, fmt.Errorf("machine %s: %w", spec.MAC, err))
	}
	system := spec.System(kit.Pack.Digest, c.Tracker.Key())
	system.ID = uuid.NewString()
	recipe := overlayRecipe{Image: spec.Image, EntryPoint: spec.EntryPoint, Env: c.environment(ctx, spec, kit, request.Inventory)}
	if !spec.Silent {
		recipe.Running = c.runningURLs(ctx, spec, &system)
		recipe.Env["running"] = recipe.Running[0]
	}
	var overlay wire.Blob
	if overlay, system.Tells, err = c.makeOverlay(ctx, spec, kit, tree, recipe); err != nil {
		return promise{}, err
	}
	c.warnOfNetwork(ctx, spec, tree)
	c.warnOfRunning(ctx, spec, tree)
	recipe.Digest = overlay.Digest
	note, err := json.Marshal(recipe)
	if err != nil {
		return promise{}, err
	}
	plan := newPlan(session, spec, kit, wanted, overlay, state.Wipe)
	plan.Card, plan.Servers = request.MAC, c.servers(ctx, spec)
	return promise{plan, system, note}, nil
}

// claimBounds are how many plans are made at once, and how many claims wait.
func claimBounds() (most, queue int) {
	n := runtime.GOMAXPROCS(0)
	return maxPlans * n, maxClaims * n
}

// takeClaim waits for the turn of a claim.
func (c *Chain) takeClaim(ctx context.Context) (done func(), err error) {
	most, queue := claimBounds()
	return c.claims.take(ctx, most, queue)
}

// refusalUnless is a refusal, unless the only reason is that time ran out.
func refusalUnless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return &refusal{err}
}

// suits says why a kit is not for a machine.
func (c *Chain) suits(spec *provision.Spec, kit *depot.Kit, inventory provision.Inventory) error {
	if err := kit.Kernels[0].Check(inventory.Arch); err != nil {
		return err
	}
	if !slices.Contains(kit.Filesystems, spec.Filesystem) {
		return fmt.Errorf("machines/%s.json asks for the filesystem %q, and with the image %s there is only %s: for ext4 the image's kernel must support it; for others the image must also contain their mkfs, such as mkfs.xfs or mkfs.btrfs", spec.MAC, spec.Filesystem, spec.Image, strings.Join(kit.Filesystems, ", "))
	}
	if err := c.suitsSecureBoot(spec, kit); err != nil {
		return err
	}
	_, err := provision.SelectDisk(spec.Disk, inventory.Disks)
	return err
}

func newPlan(session track.Session, spec *provision.Spec, kit *depot.Kit, wanted target.Plan, overlay wire.Blob, wipe bool) wire.Plan {
	plan := wire.Plan{
		MAC: session.MAC, Session: session.Secret, Image: spec.Image, Hostname: hostname(spec),
		Disk: spec.Disk, Wipe: wipe, Retry: spec.Retry, Handover: spec.Handover, BootEntry: spec.BootEntry, Target: wanted,
		Init: kit.Init, Pack: blob(kit.Pack, "pack"), Overlay: overlay,
		BootLoaders: map[string]wire.Blob{}, ImageManifest: kit.Manifest.JSON(),
	}
	if wanted.Preinit() {
		plan.Init = target.PreinitPath
	}
	for _, name := range wanted.SecureBoot().LoaderNames(wanted.Arch) {
		plan.BootLoaders[name] = blob(kit.Loaders[name], name)
	}
	return plan
}

func blob(f depot.File, name string) wire.Blob {
	return wire.Blob{Path: depot.FilePath(f.Digest, name), Size: f.Size, Digest: f.Digest}
}

// hostname is the machine's name, or one made of its address.
func hostname(spec *provision.Spec) string {
	if spec.Hostname != "" {
		return spec.Hostname
	}
	return "machine-" + strings.ReplaceAll(string(spec.MAC), ":", "")
}

// environment is the configuration environment: what templates see as "env".
func (c *Chain) environment(ctx context.Context, spec *provision.Spec, kit *depot.Kit, inventory provision.Inventory) map[string]any {
	env := map[string]any{
		"mac": string(spec.MAC), "hostname": hostname(spec), "target": "disk", "server": c.base(ctx), "entrypoint": kit.Kernels[0].Entry,
	}
	if chosen, err := provision.SelectDisk(spec.Disk, inventory.Disks); err == nil {
		env["disk"] = chosen.Name
	}
	if spec.Network != nil {
		env["network"] = plainNetwork(spec.Network)
	}
	if spec.Address.IsValid() {
		env["address"] = spec.Address.String()
	}
	return env
}

// menuTimeout is how long an installed disk's boot menu waits for a key.
const menuTimeout = time.Second

// planDisk plans the disk of a machine. What would fail only when the disk is
// made bootable is refused here.
func (c *Chain) planDisk(ctx context.Context, spec *provision.Spec, kit *depot.Kit, tree images.Tree, inventory provision.Inventory) (target.Plan, error) {
	image, err := c.imageOf(ctx, spec, kit, inventory)
	if err != nil {
		return target.Plan{}, err
	}
	for _, notice := range image.Notices {
		c.record(ctx, provision.Event{MAC: spec.MAC, Kind: provision.KindLog, Text: "warning: the installed system may not start", Reason: notice})
	}
	options := diskOptions(spec)
	options.ID, options.Arch = uuid.New(), disk.Arch(inventory.Arch)
	if spec.SecureBoot == provision.ByOwner {
		return c.planSigned(ctx, image, options, kit, tree)
	}
	plan, err := target.NewPlan(image, options)
	if err != nil {
		return plan, err
	}
	return plan, plan.CheckMenu(tree)
}

// diskOptions are what a machine's file says of its disk.
func diskOptions(spec *provision.Spec) target.Options {
	return target.Options{
		Filesystem: spec.Filesystem, Reserve: true, Cmdline: spec.Cmdline, Timeout: menuTimeout,
		SecureBoot: disk.SecureBoot{Shim: spec.SecureBoot == provision.ByShim},
	}
}

// imageOf is the image as it is for one machine: the command line of an entry
// point is a template. An image without a name is called as the site has it.
func (c *Chain) imageOf(ctx context.Context, spec *provision.Spec, kit *depot.Kit, inventory provision.Inventory) (target.Image, error) {
	render := func(ctx context.Context, template string) (string, error) {
		image := &images.Image{Name: spec.Image, Manifest: kit.Manifest}
		return image.Cmdline(ctx, c.Render, template, spec.Config, c.environment(ctx, spec, kit, inventory))
	}
	image := kit.Image
	if kit.Manifest.Name == "" {
		image.Title = spec.Image
	}
	var err error
	var taken []string
	if image.Kernels, taken, err = (target.System{Cmdline: render}).Rendered(ctx, kit.Kernels); err != nil {
		return image, err
	}
	image.Notices = append(slices.Clone(image.Notices), taken...)
	return image, nil
}
