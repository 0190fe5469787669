package httpboot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/pack"
	"cloudlets/provision"
	"cloudlets/provision/agent"
	"cloudlets/provision/depot"
)

// maxRequest bounds what is read of an agent's request, in bytes.
const maxRequest = 1 << 20

// claim gives an agent its plan.
func (c *Chain) claim(w http.ResponseWriter, r *http.Request) {
	var request agent.ClaimRequest
	if err := readJSON(r, &request); err != nil {
		http.Error(w, "read claim: "+err.Error(), http.StatusBadRequest)
		return
	}
	session, err := c.Tickets.Claim(r.Context(), request.Token, request.Nonce)
	if err != nil {
		c.sawRefusedClaim(r, request.MAC, err)
		refuse(w, err)
		return
	}
	plan, err := c.plan(r.Context(), session, request)
	if err != nil {
		c.record(r.Context(), provision.Event{MAC: session.MAC, Kind: provision.KindFailed, Stage: provision.StageFailed, Text: err.Error()})
		refuse(w, err)
		return
	}
	c.sawHost(r.RemoteAddr, session.MAC)
	facts := request.Inventory.Facts()
	facts["image"], facts["pack"], facts["hostname"] = plan.Image, plan.Pack.Digest, plan.Hostname
	c.record(r.Context(), provision.Event{
		MAC: session.MAC, Kind: provision.KindClaim, Stage: provision.StageAgent, Facts: facts,
		Text: fmt.Sprintf("the agent is up and claimed its plan: %s on %s, then %s", plan.Image, describeDisks(request.Inventory.Disks), plan.Handover),
	})
	writeJSON(w, plan)
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

// plan makes the plan of a machine whose agent has a right to one, after all
// that can be known to go wrong was looked at.
func (c *Chain) plan(ctx context.Context, session provision.Session, request agent.ClaimRequest) (provision.Plan, error) {
	if request.MAC != session.MAC {
		return provision.Plan{}, &refusal{fmt.Errorf("the token is of %s, and %s claims it: restart the machine so that it gets its own", session.MAC, request.MAC)}
	}
	spec, decision := c.decide(session.MAC)
	if decision.Action != provision.ActionInstall {
		return provision.Plan{}, &refusal{fmt.Errorf("%s shall not be installed: %s", session.MAC, decision.Reason)}
	}
	kit, err := c.Depot.Kit(ctx, kitKey(spec))
	if err != nil {
		return provision.Plan{}, &refusal{err}
	}
	if err := suits(spec, kit, request.Inventory); err != nil {
		return provision.Plan{}, &refusal{err}
	}
	overlay, err := c.makeOverlay(ctx, spec, kit, request.Inventory)
	if err != nil {
		return provision.Plan{}, &refusal{err}
	}
	return newPlan(session, spec, kit, overlay), nil
}

// suits says why a kit is not for a machine.
func suits(spec *provision.Spec, kit *depot.Kit, inventory provision.Inventory) error {
	if err := kit.Kernels[0].Check(inventory.Arch); err != nil {
		return err
	}
	if !slices.Contains(kit.Filesystems, spec.Filesystem) {
		return fmt.Errorf("the image %s has no mkfs for the filesystem %q that machines/%s.json asks for: it has %s", spec.Image, spec.Filesystem, spec.MAC, strings.Join(kit.Filesystems, ", "))
	}
	_, err := provision.SelectDisk(spec.Disk, inventory.Disks)
	return err
}

// rootRoom is what a root filesystem needs beyond the content of its files:
// an eighth for its own structures and for what the system writes first.
func rootRoom(content int64) int64 { return content + content/8 + 64<<20 }

func newPlan(session provision.Session, spec *provision.Spec, kit *depot.Kit, overlay provision.Blob) provision.Plan {
	plan := provision.Plan{
		MAC: session.MAC, Session: session.Secret, Image: spec.Image, Hostname: hostname(spec),
		Disk: spec.Disk, Wipe: spec.Wipe, Filesystem: spec.Filesystem, Handover: spec.Handover,
		Init: kit.Init, Pack: blob(kit.Pack, "pack"), Overlay: overlay, RootSize: rootRoom(kit.Bytes),
		Kernels: diskEntries(spec, kit.Kernels), BootLoaders: map[string]provision.Blob{}, ImageManifest: kit.Manifest.JSON(),
	}
	for name, file := range kit.Loaders {
		plan.BootLoaders[name] = blob(file, name)
	}
	return plan
}

func blob(f depot.File, name string) provision.Blob {
	return provision.Blob{Path: filePath(f.Digest, name), Size: f.Size, Digest: f.Digest}
}

// hostname is the machine's name, or one made of its address.
func hostname(spec *provision.Spec) string {
	if spec.Hostname != "" {
		return spec.Hostname
	}
	return "machine-" + strings.ReplaceAll(string(spec.MAC), ":", "")
}

func (c *Chain) overlayFile(mac provision.MAC) string {
	return filepath.Join(c.Overlays, strings.ReplaceAll(string(mac), ":", "-")+".pack")
}

// makeOverlay renders what is the machine's own and keeps it, as a small pack,
// until the machine's next install: a server that is restarted in between
// serves the very same bytes.
func (c *Chain) makeOverlay(ctx context.Context, spec *provision.Spec, kit *depot.Kit, inventory provision.Inventory) (provision.Blob, error) {
	tree, done, err := c.Depot.OpenPack(kit.Pack)
	if err != nil {
		return provision.Blob{}, err
	}
	defer done()
	image := &images.Image{Name: spec.Image, Manifest: kit.Manifest}
	overlay, err := image.Overlay(ctx, tree, c.Render, spec.Config, c.environment(spec, kit, inventory))
	if err != nil {
		return provision.Blob{}, fmt.Errorf("machine %s: %w", spec.MAC, err)
	}
	info, err := writePack(ctx, c.overlayFile(spec.MAC), layer{overlay, tree})
	if err != nil {
		return provision.Blob{}, fmt.Errorf("keep the overlay of %s: %w", spec.MAC, err)
	}
	return provision.Blob{Path: overlayPath, Size: info.Size, Digest: info.Digest}, nil
}

// environment is the configuration environment: what templates see as "env".
func (c *Chain) environment(spec *provision.Spec, kit *depot.Kit, inventory provision.Inventory) map[string]any {
	env := map[string]any{
		"mac": string(spec.MAC), "hostname": hostname(spec), "target": "disk", "server": c.Base, "entrypoint": kit.Kernels[0].Entry,
	}
	if chosen, err := provision.SelectDisk(spec.Disk, inventory.Disks); err == nil {
		env["disk"] = chosen.Name
	}
	if spec.Address.IsValid() {
		env["address"] = spec.Address.String()
	}
	return env
}

// writePack writes beside, syncs and renames. Overlays may hold secrets.
func writePack(ctx context.Context, name string, source images.Source) (info pack.Info, err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return info, err
	}
	temp, err := os.CreateTemp(filepath.Dir(name), ".part-*")
	if err != nil {
		return info, err
	}
	defer os.Remove(temp.Name())
	info, err = pack.Write(ctx, temp, source, pack.Options{})
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return info, err
	}
	return info, os.Rename(temp.Name(), name)
}

func readJSON(r *http.Request, into any) error {
	return json.NewDecoder(io.LimitReader(r.Body, maxRequest)).Decode(into)
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the reader is gone if this fails
}
