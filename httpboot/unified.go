package httpboot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/images"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/target"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/wire"
)

// unifiedName is the name of a signed program in its URL. Firmware may look at the
// ending.
const unifiedName = "cloudlet.efi"

// bootsUnified says whether a client boots the program that the machines' owner
// signed. A boot file that the machine's file names goes before it.
func bootsUnified(client dhcp.Client, spec *provision.Spec) bool {
	return spec.SecureBoot == provision.ByOwner && client.Kind == dhcp.HTTPBoot && client.Firmware.UEFI() && spec.Quirks.BootFile == ""
}

// unifiedKey names the kit of a machine's program. The URL of the server is in the
// program, and is the one that the firmware fetches it from.
func unifiedKey(spec *provision.Spec, base string) depot.Key {
	key := kitKey(spec)
	key.Server = base
	return key
}

// unified returns the URL of the signed program for a machine. It is not named
// before it is made, since firmware waits only seconds for a file, and asks DHCP for
// about a minute.
func (c *Chain) unified(client dhcp.Client, spec *provision.Spec) (string, error) {
	base := c.firmwareBase(client.Server, spec)
	status := c.Depot.Status(unifiedKey(spec, base))
	switch {
	case status.Kit != nil && status.Err == nil:
		return base + depot.FilePath(status.Kit.Unified.Digest, unifiedName), nil
	case status.Busy:
		return "", errors.New("its signed program is still being made; if the firmware does not ask again by itself, restart the machine in a moment")
	}
	return "", status.Err
}

// letGoUnified sends a machine that starts only what its owner signed to its own
// disk. There is no program that starts the disk, so the URL names no file: firmware that gets the status 404 goes on to the next
// boot device at once. Without a URL it would ask for another minute.
func (c *Chain) letGoUnified(mac provision.MAC, client dhcp.Client, spec *provision.Spec, decision provision.Decision) dhcp.Boot {
	return dhcp.Boot{
		File:   c.firmwareBase(client.Server, spec) + "/" + dialect.OwnDisk(mac, processor(client)),
		Reason: decision.Reason + "; it gets the URL of a file that does not exist, which is faster than waiting for its firmware to give up",
	}
}

// params tells an agent its parameters, if its own command line is the same for all
// machines. One deadline is for all that it waits for, since the agent does not wait
// longer for an answer.
func (c *Chain) params(w http.ResponseWriter, r *http.Request) {
	until := time.Now().Add(dialect.AnswerWait)
	if mac, err := provision.ParseMAC(r.PathValue("mac")); err == nil && r.Method == http.MethodGet {
		c.renewUnified(r.Context(), mac, c.scriptBase(r), until)
	}
	c.answer(w, r, "application/json", dialect.Agent{Until: until, Asked: r.URL.Query().Has(wire.AgainQuery)})
}

// renewUnified has the signed program of a machine made anew, if its image has
// changed, and waits for that until a time. base is the URL that is in it. DHCP cannot look, since it must answer at
// once. This machine goes on with what it has booted, so the outcome does not matter to
// it.
func (c *Chain) renewUnified(ctx context.Context, mac provision.MAC, base string, until time.Time) {
	spec, decision := c.Decide(mac)
	boots := decision.Action == provision.ActionInstall || decision.Action == provision.ActionLive || decision.Action == provision.ActionRescue
	if !boots || spec.SecureBoot != provision.ByOwner {
		return
	}
	wait, stop := context.WithDeadline(ctx, until)
	defer stop()
	if _, err := c.Depot.Kit(wait, unifiedKey(spec, base)); err != nil {
		c.Logger().Warn("a signed program is not as new as its image", "machine", mac, "error", err)
	}
}

// planSigned plans a disk that the machines' owner signs. The agent gets signatures
// and not the key.
func (c *Chain) planSigned(ctx context.Context, image target.Image, options target.Options, kit *depot.Kit, tree images.Tree) (target.Plan, error) {
	owner, err := c.Depot.Owner()
	if err != nil {
		return target.Plan{}, err
	}
	options.SecureBoot = bootloader.SecureBoot{Signer: owner}
	plan, err := target.NewPlan(image, options)
	if err != nil {
		return plan, err
	}
	loaders := bootloader.Files{}
	for _, name := range options.SecureBoot.LoaderNames(plan.Arch) {
		if loaders[name], err = os.ReadFile(c.Depot.Path(kit.Loaders[name].Digest)); err != nil {
			return plan, fmt.Errorf("read the boot loader %s: %w", name, err)
		}
	}
	return plan, plan.Sign(ctx, tree, loaders, owner)
}
