package httpboot

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/requests"
	"cloudlets/httpboot/turns"
	"cloudlets/images"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/rendering"
)

// asIsFiles is the path below which a machine fetches the rendered templates of the image
// whose kernel it boots as it is.
func asIsFiles(mac, token string) string { return "/boot/" + mac + "/files/" + token }

// bootAsIs boots the kernel and the initrd of an image as they are, in the dialect of a
// machine's loader. The spec has that image.
func (c *Chain) bootAsIs(ctx context.Context, card provision.MAC, spec *provision.Spec, decision provision.Decision, kit *depot.Kit, d dialect.Dialect, event provision.Event) (string, provision.Event) {
	booted := provision.Booted{Boot: *decision.Boot, ID: newBootID(), Card: card, Order: decision.Order}
	again := false
	if last := c.State(spec.MAC); last.Stage == provision.StageBooted && provision.SameBoot(last.Booted, booted) {
		booted, again = *last.Booted, true
	}
	text, err := c.kernelAsIs(ctx, card, spec, booted, kit, d)
	if err != nil {
		event.Text, event.Reason = "not booted: "+decision.Boot.String(), err.Error()
		return d.Leave(err.Error()), event
	}
	event.Text = fmt.Sprintf("boots %s of %s as it is", kit.Kernels[0].Path, spec.Image)
	if again { // the same boot, so that nothing changes, however often the script is fetched
		event.Text = "asked again: " + event.Text
		return text, event
	}
	event.Stage, event.Booted = provision.StageBooted, &booted
	return text, event
}

func (c *Chain) kernelAsIs(ctx context.Context, card provision.MAC, spec *provision.Spec, booted provision.Booted, kit *depot.Kit, d dialect.Dialect) (string, error) {
	cmdline, err := c.asIsRenderer(ctx, spec, booted, kit).Cmdline(ctx, kit.Kernels[0])
	if err != nil {
		return "", fmt.Errorf("machine %s: %w", spec.MAC, err)
	}
	return d.Boot(dialect.Program{MAC: card, Image: spec.Image, Kernel: kit.Kernel, RAMDisk: kit.RAMDisk, Cmdline: cmdline, AsIs: true})
}

// asIsRenderer renders the image for the machine that boots it. Its words and its
// templates see the same facts.
func (c *Chain) asIsRenderer(ctx context.Context, spec *provision.Spec, booted provision.Booted, kit *depot.Kit) rendering.Renderer {
	base := c.base(ctx)
	facts := rendering.Facts{
		Server: base, Files: base + asIsFiles(string(spec.MAC), booted.FilesToken(spec.MAC, c.Tracker.Key())),
		Address: c.Leased(booted.Card), Hardware: c.factsFor(ctx, spec.MAC, provision.Inventory{}),
	}
	return c.renderer(spec, kit, rendering.Environment(spec, kit.Kernels[0].Entry, facts))
}

func newBootID() string {
	var raw [16]byte
	rand.Read(raw[:]) // never fails (crypto/rand)
	return hex.EncodeToString(raw[:])
}

// asIsKey names the kit of a boot.
func asIsKey(b *provision.Boot) depot.Key {
	return depot.Key{Image: b.Image, EntryPoint: b.EntryPoint, AsIs: true}
}

// takeBoot records that a machine was told to boot what an event names, and uses up the
// order for it. Without that nothing is booted: an order would be carried out twice.
func (c *Chain) takeBoot(ctx context.Context, event provision.Event) error {
	return c.Tracker.TakeBoot(context.WithoutCancel(ctx), c.Of(event))
}

// sentAway uses up the order that a machine boots from its own disk, if there is one,
// after its firmware was told that there is no file for it.
func (c *Chain) sentAway(ctx context.Context, mac provision.MAC, from netip.Addr, spec *provision.Spec, decision provision.Decision) {
	if decision.Action != provision.ActionLocal || decision.Order.IsZero() || c.Foreign(mac, from) != "" {
		return
	}
	if err := c.takeBoot(ctx, toDisk(mac, spec, decision)); err != nil {
		c.Logger().Warn("an order to boot from the own disk was not noted as done", "machine", mac, "error", err)
	}
}

// asIsFile serves a template of the image that a machine boots, rendered for it.
func (c *Chain) asIsFile(w http.ResponseWriter, r *http.Request) {
	mac, err := provision.ParseMAC(r.PathValue("mac"))
	if err != nil {
		http.Error(w, requests.Printable(err.Error()), http.StatusNotFound)
		return
	}
	spec, booted, err := c.bootOf(r.Context(), mac, r.PathValue("token"), provision.Booted.FilesToken)
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	if spec == nil {
		http.Error(w, "this is not the URL of the files that "+string(mac)+" boots with now: restart the machine, so that it gets its own", http.StatusGone)
		return
	}
	name := r.PathValue("path")
	content, err := c.renderAsIs(r.Context(), spec, booted, name)
	switch {
	case errors.Is(err, errNoTemplate):
		http.Error(w, requests.Printable(err.Error()), http.StatusNotFound)
	case err != nil:
		if !errors.Is(err, turns.ErrBusy) {
			c.Record(r.Context(), provision.Event{MAC: mac, Kind: provision.KindLog, Text: "its file " + requests.Printable(name) + " cannot be rendered", Reason: err.Error()})
		}
		requests.Refuse(w, err)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		if r.Header.Get("Range") == "" {
			c.SawFetch(r, "", requests.Printable(name)+" of "+booted.Image+", rendered")
		}
	}
}

// bootOf is what a machine boots now, and the spec with its image, if the token is the
// one that secret gives for that boot. Otherwise the spec is nil.
func (c *Chain) bootOf(ctx context.Context, mac provision.MAC, token string, secret bootSecret) (*provision.Spec, provision.Booted, error) {
	spec := c.Spec(mac)
	if spec == nil {
		return nil, provision.Booted{}, nil
	}
	state := c.State(mac)
	if !c.isBooted(state, token, secret) {
		// Another server may have told the machine what to boot a moment ago. Otherwise
		// the store may be behind this server, and still have the boot before.
		stored, err := c.Tracker.Stored(ctx, spec.MAC)
		if err != nil {
			return nil, provision.Booted{}, err
		}
		if stored.Seen.After(state.Seen) {
			state = stored
		}
	}
	if !c.isBooted(state, token, secret) {
		return nil, provision.Booted{}, nil
	}
	return spec.Booting(state.Booted.Boot), *state.Booted, nil
}

// bootSecret is one of the tokens of a boot.
type bootSecret func(b provision.Booted, mac provision.MAC, key []byte) string

func (c *Chain) isBooted(state provision.State, token string, secret bootSecret) bool {
	return state.Booted != nil && state.Booted.ID != "" &&
		subtle.ConstantTimeCompare([]byte(token), []byte(secret(*state.Booted, state.MAC, c.Tracker.Key()))) == 1
}

// errNoTemplate says that a machine asks for a file that is not served.
var errNoTemplate = errors.New("no such template")

func (c *Chain) renderAsIs(ctx context.Context, spec *provision.Spec, booted provision.Booted, name string) ([]byte, error) {
	wait, stop := context.WithTimeout(ctx, claimWait)
	defer stop()
	kit, err := c.Depot.Kit(wait, asIsKey(&booted.Boot))
	if err != nil {
		return nil, err
	}
	want := images.CleanPath(name)
	if !isTemplate(kit, want) {
		return nil, fmt.Errorf("%w: %s is not among the templates of %s, which alone are served: %s", errNoTemplate, want, spec.Image, strings.Join(kit.Manifest.Templates, ", "))
	}
	end, err := c.takeClaim(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	tree, done, err := c.Depot.OpenPack(kit.Pack)
	if err != nil {
		return nil, err
	}
	defer done()
	files, err := c.asIsRenderer(ctx, spec, booted, kit).Templates(ctx, tree, want)
	if err != nil {
		return nil, fmt.Errorf("machine %s: %w", spec.MAC, err)
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("%w: %s is volatile in %s, so no copy has it", errNoTemplate, want, spec.Image)
	}
	return files[0].Content, nil
}

func isTemplate(kit *depot.Kit, name string) bool {
	for _, template := range kit.Manifest.Templates {
		if images.CleanPath(template) == name {
			return true
		}
	}
	return false
}
