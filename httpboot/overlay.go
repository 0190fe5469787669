package httpboot

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"cloudlets/httpboot/overlays"
	"cloudlets/httpboot/requests"
	"cloudlets/httpboot/systems"
	"cloudlets/images"
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
	systems.Recipe
	Digest string `json:"digest"`
}

// overlay serves an agent the overlay of its own machine only.
func (c *Chain) overlay(w http.ResponseWriter, r *http.Request) {
	mac, err := c.session(r)
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	if err := c.haveOverlay(r, mac); err != nil {
		c.Logger().Warn("an overlay that another server made cannot be made here", "machine", mac, "error", err)
		http.Error(w, err.Error(), http.StatusServiceUnavailable) // another server may have it
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	c.serve(w, r, c.Overlays.Path(mac))
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
	if c.Overlays.Has(mac, recipe.Digest) {
		return nil
	}
	spec := c.Spec(mac)
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

// SweepOverlays removes the overlays of machines whose install has ended, since
// they may hold secrets.
func (c *Chain) SweepOverlays() error {
	return c.Overlays.Sweep(func(mac provision.MAC) bool {
		state, _ := c.Tracker.State(mac)
		return state.Installing()
	})
}

// madeOverlay is an overlay that is kept for a machine.
type madeOverlay struct {
	wire.Blob
	tells   bool  // the system that has these files will say that it runs
	warning error // why its network will not be as the machine's file says, or nil
}

// rendered is a machine's overlay before it is packed.
type rendered struct {
	layer   overlays.Layer
	tells   bool  // the system that has these files will say that it runs
	warning error // why its network will not be as the machine's file says, or nil
}

// renderOverlay renders the machine's own files.
func (c *Chain) renderOverlay(ctx context.Context, r rendering.Renderer, tree images.Tree, recipe overlayRecipe) (made rendered, err error) {
	overlay, warning, err := r.Overlay(ctx, tree)
	if err != nil {
		return made, requests.RefusalUnless(ctx, fmt.Errorf("machine %s: %w", r.Spec.MAC, err))
	}
	made.warning = warning
	if overlay, made.tells, err = recipe.WithRunning(overlay, tree); err != nil {
		return made, fmt.Errorf("machine %s: %w", r.Spec.MAC, err)
	}
	if overlay, err = c.Systems.WithCloudInit(overlay, r.Spec, recipe.Recipe, r.Spec.Network != nil && warning == nil, tree); err != nil {
		return made, requests.RefusalUnless(ctx, fmt.Errorf("machine %s: %w", r.Spec.MAC, err))
	}
	made.layer = overlays.Layer{Overlay: overlay, Tree: tree}
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
	info, err := c.Overlays.Keep(ctx, r.Spec.MAC, files.layer)
	if err != nil {
		return made, fmt.Errorf("keep the overlay of %s: %w", r.Spec.MAC, err)
	}
	return madeOverlay{wire.Blob{Path: overlayPath, Size: info.Size, Digest: info.Digest}, files.tells, files.warning}, nil
}
