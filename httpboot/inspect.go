package httpboot

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/requests"
	"cloudlets/httpboot/turns"
	"cloudlets/images/boot"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/rendering"
	"cloudlets/provision/tickets"
	"cloudlets/provision/track"
	"cloudlets/provision/wire"
)

// Bounds of what strangers report: how many reports are read at once and wait for that,
// and how many are kept in a second by this server. Others are told to ask later.
const (
	inspectionsAtOnce = 8
	inspectionsQueued = 256
	keptInASecond     = 20
)

// inspected is what a stranger boots to be inspected. It is no machine's file: nothing
// is ever installed by it, since a claim asks the site for one.
func (c *Chain) inspected(mac provision.MAC) *provision.Spec {
	return &provision.Spec{MAC: mac, Image: c.StrangerRules().Image, Filesystem: "ext4"}
}

// inspect boots a kernel with the agent's RAM disk, and words that let the agent look at
// the machine and no more: there is no token for a plan, so there can be no plan.
func (c *Chain) inspect(ctx context.Context, card provision.MAC, spec *provision.Spec, kit *depot.Kit, d dialect.Dialect, event provision.Event) (string, provision.Event) {
	text, err := c.inspector(ctx, card, spec, kit, d)
	if err != nil {
		event.Text, event.Reason = "not inspected", err.Error()
		return d.Leave(err.Error()), event
	}
	event.Stage = provision.StageKernel
	event.Text = fmt.Sprintf("boots kernel %s of %s, to be inspected", kit.Kernels[0].Version, spec.Image)
	return text, event
}

func (c *Chain) inspector(ctx context.Context, card provision.MAC, spec *provision.Spec, kit *depot.Kit, d dialect.Dialect) (string, error) {
	image, err := c.rendering(ctx, card, spec, kit, "", provision.Inventory{}).Image(ctx, kit.Image)
	if err != nil {
		return "", fmt.Errorf("stranger %s: %w", card, err)
	}
	params := wire.Params{
		Servers: c.servers(ctx, spec), MAC: card, Inspect: true, OnFailure: "reboot",
		Token: provision.InspectToken(card, c.Tracker.Key()),
	}
	cmdline := boot.JoinWords(image.Menu(rendering.DiskOptions(spec))[0].Cmdline, params.Cmdline())
	return d.Boot(dialect.Program{MAC: card, Image: spec.Image, Kernel: kit.Kernel, RAMDisk: kit.RAMDisk, Cmdline: cmdline, Inspects: true})
}

// inspection takes what an agent found in a stranger, and tells it whether to wait.
func (c *Chain) inspection(w http.ResponseWriter, r *http.Request) {
	done, err := c.inspections.Take(r.Context(), inspectionsAtOnce, inspectionsQueued)
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	defer done()
	var request wire.InspectRequest
	if err := requests.ReadJSON(w, r, &request); err != nil {
		http.Error(w, "read inspection: "+requests.Printable(err.Error()), http.StatusBadRequest)
		return
	}
	card, err := provision.ParseMAC(string(request.MAC))
	if err != nil || subtle.ConstantTimeCompare([]byte(request.Token), []byte(provision.InspectToken(card, c.Tracker.Key()))) != 1 {
		requests.Refuse(w, fmt.Errorf("%w: this is not the token that %s was booted with: restart the machine so that it gets its own", tickets.ErrRefused, requests.Printable(string(request.MAC))))
		return
	}
	if spec, decision := c.Decide(card); decision.Action != provision.ActionInspect {
		answer := "strangers are not inspected any more: " + decision.Reason
		if spec != nil {
			answer = "it is a machine of the site now: " + decision.Reason
		}
		requests.WriteJSON(w, wire.InspectAnswer{Restart: answer})
		return
	}
	answer, err := c.judge(r, card, request.Inspection)
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	requests.WriteJSON(w, answer)
}

// judge keeps what was found in a stranger, if that is news, and has the site's rules
// approve it.
func (c *Chain) judge(r *http.Request, card provision.MAC, found provision.Inspection) (wire.InspectAnswer, error) {
	ctx := r.Context()
	c.SawHost(card, requests.RemoteAddr(r))
	found.Card = card
	found = found.Bounded()
	before, known, err := c.Tracker.Inspection(ctx, card)
	if err != nil {
		return wire.InspectAnswer{}, err
	}
	outcome, approval := c.outcome(found)
	state := c.State(card)
	if known && state.Stage == provision.StageInspect && before.Outcome == outcome && reflect.DeepEqual(before.Inspection, found) && approval == nil {
		return wire.InspectAnswer{Wait: outcome}, nil
	}
	if !c.kept.Take(time.Now(), keptInASecond) {
		return wire.InspectAnswer{}, turns.ErrBusy
	}
	event := provision.Event{
		MAC: card, Kind: provision.KindStage, Stage: provision.StageInspect, Text: "inspected: " + describeFound(found), Reason: outcome,
		Facts: found.Facts(),
	}
	if warning := c.Foreign(card, requests.RemoteAddr(r)); warning != "" {
		event.Reason += "; " + warning
	}
	if err := c.Tracker.RecordInspection(ctx, event, track.Inspected{Inspection: found, Outcome: outcome}); err != nil {
		return wire.InspectAnswer{}, err
	}
	if approval == nil {
		return wire.InspectAnswer{Wait: outcome}, nil
	}
	return c.approveByRule(ctx, card, *approval, outcome)
}

// outcome says what the rules say of a stranger, and what its file shall say if one
// approves it.
func (c *Chain) outcome(found provision.Inspection) (string, *provision.Approval) {
	const wait = "it waits for `cloudlets approve`"
	strangers := c.StrangerRules()
	verdict := strangers.Judge(found)
	switch {
	case verdict.Why == "":
		return wait, nil
	case verdict.Rule == nil || c.Approve == nil:
		return verdict.Why + ": " + wait, nil
	}
	rule := verdict.Rule
	approval := &provision.Approval{MAC: found.Card, Profile: rule.Profile, Image: rule.Image}
	if rule.Hostname == "" {
		return verdict.Why, approval
	}
	var err error
	approval.Hostname, err = rule.Name(found, func(name string) bool { return len(c.Site.ByName(name)) > 0 })
	if err != nil {
		return fmt.Sprintf("%s, but %v: %s", verdict.Why, err, wait), nil
	}
	return verdict.Why, approval
}

// approveByRule writes the file of a stranger that a rule approved. Names are made again
// while no other is approved, so that two machines never get one number.
func (c *Chain) approveByRule(ctx context.Context, card provision.MAC, approval provision.Approval, why string) (wire.InspectAnswer, error) {
	c.approving.Lock()
	defer c.approving.Unlock()
	found, _, err := c.Tracker.Inspection(ctx, card)
	if err != nil {
		return wire.InspectAnswer{}, err
	}
	if _, again := c.outcome(found.Inspection); again != nil {
		approval = *again
	}
	if err := c.Approve(approval); err != nil {
		text := fmt.Sprintf("%s, but %v: it waits for `cloudlets approve`", why, err)
		c.Record(ctx, provision.Event{MAC: card, Kind: provision.KindLog, Text: "not approved", Reason: text})
		return wire.InspectAnswer{Wait: text}, nil
	}
	c.Record(ctx, provision.Event{
		MAC: card, Kind: provision.KindLog, Text: fmt.Sprintf("approved by the site's rules as %s, with the profile %q and the image %q", approval.Hostname, approval.Profile, approval.Image), Reason: why,
	})
	return wire.InspectAnswer{Restart: "it was approved by the site's rules"}, nil
}

// describeFound says in a few words what was found.
func describeFound(i provision.Inspection) string {
	text := describeDisks(i.Disks)
	if name := i.Facts()["product"]; name != "" {
		text = name + " with " + text
	}
	for _, card := range i.Interfaces {
		if card.Switch != "" {
			text += fmt.Sprintf("; %s is at port %s of %s", card.Name, card.Port, card.Switch)
		}
	}
	return text
}

// factsFor is what templates see of a machine's hardware as "facts": what its agent finds now,
// and what was found before that an install does not look at.
func (c *Chain) factsFor(ctx context.Context, mac provision.MAC, now provision.Inventory) map[string]any {
	state := c.State(mac)
	found := state.Found
	if found == nil && state.Facts["inspected"] != "" { // by an earlier version, which kept it beside the state alone
		inspected, known, err := c.Tracker.Inspection(ctx, mac)
		if err != nil {
			c.Logger().Warn("what was found in a machine cannot be read, so that its templates do not see it", "machine", mac, "error", err)
		}
		if known {
			found = inspected.Attributes()
		}
	}
	attributes := provision.Inspection{Inventory: now, Card: mac}.AttributesAfter(found)
	facts := make(map[string]any, len(attributes))
	for name, value := range attributes {
		facts[name] = value
	}
	return facts
}
