package httpboot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cloudlets/images"
	"cloudlets/images/pack"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/rendering"
	"cloudlets/provision/wire"
)

// overlayRecipe is what an overlay was made of, besides the machine's file and the
// image. It is kept with the session, so that another server can make the same
// overlay when the one that gave the plan is gone.
type overlayRecipe struct {
	Image      string         `json:"image"`
	EntryPoint string         `json:"entryPoint,omitempty"`
	Env        map[string]any `json:"env"`
	// Running are the URLs where the system says that it runs.
	Running []string `json:"running,omitempty"`
	// CloudInit says where its cloud-init asks; nil if it is not told.
	CloudInit *cloudInitRecipe `json:"cloudInit,omitempty"`
	Digest    string           `json:"digest"`
}

// overlay serves an agent the overlay of its own machine only.
func (c *Chain) overlay(w http.ResponseWriter, r *http.Request) {
	mac, err := c.session(r)
	if err != nil {
		refuse(w, err)
		return
	}
	if err := c.haveOverlay(r, mac); err != nil {
		c.logger().Warn("an overlay that another server made cannot be made here", "machine", mac, "error", err)
		http.Error(w, err.Error(), http.StatusServiceUnavailable) // another server may have it
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	c.serve(w, r, c.overlayFile(mac))
}

// haveOverlay makes an overlay again that another server made for the session.
func (c *Chain) haveOverlay(r *http.Request, mac provision.MAC) error {
	note, err := c.Tickets.Note(r.Context(), secretOf(r))
	if err != nil || note == nil {
		return err
	}
	var recipe overlayRecipe
	if err := json.Unmarshal(note, &recipe); err != nil {
		return fmt.Errorf("read what the overlay of %s was made of: %w", mac, err)
	}
	if c.hasOverlay(mac, recipe.Digest) {
		return nil
	}
	spec := c.spec(mac)
	if spec == nil {
		return fmt.Errorf("make the overlay of %s again: this server's copy of the site has no good file for it", mac)
	}
	kit, err := c.Depot.Kit(r.Context(), depot.Key{Image: recipe.Image, EntryPoint: recipe.EntryPoint})
	if err != nil {
		return fmt.Errorf("make the overlay of %s again: %w", mac, err)
	}
	tree, done, err := c.Depot.OpenPack(kit.Pack)
	if err != nil {
		return fmt.Errorf("make the overlay of %s again: %w", mac, err)
	}
	defer done()
	made, err := c.makeOverlay(r.Context(), c.renderer(spec, kit, recipe.Env), tree, recipe)
	if err != nil {
		return err
	}
	if made.Digest != recipe.Digest {
		return fmt.Errorf("make the overlay of %s again: it became another one, so this server's copy of the site, or its image %s, differs from that of the server that gave the plan: make them the same", mac, recipe.Image)
	}
	return nil
}

// hasOverlay says whether the overlay that is kept for a machine has a digest.
func (c *Chain) hasOverlay(mac provision.MAC, digest string) bool {
	f, err := os.Open(c.overlayFile(mac))
	if err != nil {
		return false
	}
	defer f.Close() // it is only read
	info, err := f.Stat()
	if err != nil {
		return false
	}
	kept, err := pack.Open(f, info.Size())
	return err == nil && kept.Digest() == digest
}

func (c *Chain) overlayFile(mac provision.MAC) string {
	return filepath.Join(c.Overlays, strings.ReplaceAll(string(mac), ":", "-")+overlayEnding)
}

const (
	overlayEnding = ".pack"
	// overlayGrace is how old an overlay is at least when it is swept away: the
	// claim that made it is recorded a moment later.
	overlayGrace = time.Minute
)

// SweepOverlays removes the overlays of machines whose install has ended, since
// they may hold secrets.
func (c *Chain) SweepOverlays() error {
	entries, err := os.ReadDir(c.Overlays)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		mac, bad := provision.ParseMAC(strings.TrimSuffix(entry.Name(), overlayEnding))
		if state, _ := c.Tracker.State(mac); bad == nil && state.Installing() {
			continue
		}
		if info, bad := entry.Info(); bad != nil || time.Since(info.ModTime()) < overlayGrace {
			continue
		}
		err = errors.Join(err, os.Remove(filepath.Join(c.Overlays, entry.Name())))
	}
	if err != nil {
		return fmt.Errorf("remove overlays of installs that have ended: %w", err)
	}
	return nil
}

// madeOverlay is an overlay that is kept for a machine.
type madeOverlay struct {
	wire.Blob
	tells   bool  // the system that has these files will say that it runs
	warning error // why its network will not be as the machine's file says, or nil
}

// rendered is a machine's overlay before it is packed.
type rendered struct {
	layer   layer
	tells   bool  // the system that has these files will say that it runs
	warning error // why its network will not be as the machine's file says, or nil
}

// renderOverlay renders the machine's own files.
func (c *Chain) renderOverlay(ctx context.Context, r rendering.Renderer, tree images.Tree, recipe overlayRecipe) (made rendered, err error) {
	overlay, warning, err := r.Overlay(ctx, tree)
	if err != nil {
		return made, refusalUnless(ctx, fmt.Errorf("machine %s: %w", r.Spec.MAC, err))
	}
	made.warning = warning
	if overlay, made.tells, err = withRunning(overlay, recipe.Running, tree); err != nil {
		return made, fmt.Errorf("machine %s: %w", r.Spec.MAC, err)
	}
	if overlay, err = c.withCloudInit(overlay, r.Spec, recipe.CloudInit, r.Spec.Network != nil && warning == nil, tree); err != nil {
		return made, refusalUnless(ctx, fmt.Errorf("machine %s: %w", r.Spec.MAC, err))
	}
	made.layer = layer{overlay, tree}
	return made, nil
}

// makeOverlay renders the machine's own files and keeps them, as a small pack,
// until the install has ended. A server that is restarted in between serves the
// same bytes.
func (c *Chain) makeOverlay(ctx context.Context, r rendering.Renderer, tree images.Tree, recipe overlayRecipe) (made madeOverlay, err error) {
	files, err := c.renderOverlay(ctx, r, tree, recipe)
	if err != nil {
		return made, err
	}
	info, err := writePack(ctx, c.overlayFile(r.Spec.MAC), files.layer)
	if err != nil {
		return made, fmt.Errorf("keep the overlay of %s: %w", r.Spec.MAC, err)
	}
	return madeOverlay{wire.Blob{Path: overlayPath, Size: info.Size, Digest: info.Digest}, files.tells, files.warning}, nil
}

// writePack makes a pack that only this user can read: overlays may hold secrets.
// It is not synced: what a power cut leaves of it is recognised by its digest, and
// made again.
func writePack(ctx context.Context, name string, source images.Source) (info pack.Info, err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return info, err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".part-*")
	if err != nil {
		return info, err
	}
	info, err = pack.Write(ctx, f, source, pack.Options{Workers: 1}) // it is small
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return info, err
}
