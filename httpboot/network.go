package httpboot

import (
	"context"
	"encoding/json"
	"slices"

	"cloudlets/images"
	"cloudlets/provision"
	"cloudlets/provision/netconfig"
)

// withNetwork adds the files that configure the machine's network to its overlay,
// except those that the image's own templates write. An image that has no program for
// them gets none.
func withNetwork(overlay images.Overlay, spec *provision.Spec, tree images.Tree) (images.Overlay, error) {
	if spec.Network == nil {
		return overlay, nil
	}
	facts, err := netconfig.Look(tree)
	if err != nil {
		return nil, err
	}
	renderer, err := facts.Choose(spec.Network)
	if err != nil {
		return overlay, nil // warnOfNetwork tells
	}
	taken := func(path string) bool {
		return slices.ContainsFunc(overlay, func(f images.File) bool { return f.Path == path })
	}
	files, err := netconfig.Place(tree, netconfig.Render(spec.Network, renderer, facts), taken)
	return append(overlay, files...), err
}

// warnOfNetwork tells in the machine's trace why its network will not be as its file
// says. The install goes on: the image may configure its network by itself.
func (c *Chain) warnOfNetwork(ctx context.Context, spec *provision.Spec, tree images.Tree) {
	if spec.Network == nil {
		return
	}
	facts, err := netconfig.Look(tree)
	if err == nil {
		_, err = facts.Choose(spec.Network)
	}
	if err != nil {
		c.record(ctx, provision.Event{
			MAC: spec.MAC, Kind: provision.KindLog,
			Text: `warning: the installed system does not get the "network" of its file`, Reason: err.Error(),
		})
	}
}

// plainNetwork is a network as templates see it. It is a map, so that its members have
// the same order on every server that makes the overlay.
func plainNetwork(n *provision.Network) (plain map[string]any) {
	text, err := json.Marshal(n)
	if err == nil {
		err = json.Unmarshal(text, &plain)
	}
	if err != nil {
		panic(err) // these types can be marshalled
	}
	return plain
}
