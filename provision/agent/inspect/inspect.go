// Package inspect looks at a machine: its processors, memory, disks and cards, its firmware,
// and the switches at the other end of its cables. [Inventory] is what every machine tells a
// server. [Run] is what a machine does that the site does not know. It opens disks only to
// read them, and no package that writes one is imported here.
package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/hardware"
	"cloudlets/provision/process1"
	"cloudlets/provision/wire"
)

// The pauses before an inspected machine asks again whether it may go on: each is half
// as long again as the one before, up to maxInspectWait, and up to a quarter is left out at
// random, so that a rack that was switched on at once does not ask at once.
const (
	firstInspectWait = 3 * time.Second
	maxInspectWait   = time.Minute
)

// inspector looks at a machine that the site does not know. It has nothing by which a
// disk could be written: it opens disks by [openToRead] alone, and there is no plan.
type inspector struct {
	params wire.Params
	server *client.Client
	look   func(neighbours map[string]neighbour) (provision.Inspection, error)
	// heard returns what switches have said so far, by the names of interfaces, and whether
	// it is worth waiting for more.
	heard func() (map[string]neighbour, bool)
	pause func(context.Context, time.Duration) error
	say   func(format string, args ...any)
}

// Run looks at the machine, tells the server, and waits until it may go on. Then it starts the
// machine again. disks returns the machine's disks, as [WatchDisks] does; say shows a line to
// a person in front of the machine. Run returns only with an error.
func Run(ctx context.Context, params wire.Params, server *client.Client, disks func() ([]provision.DiskInfo, error), say func(format string, args ...any), log *slog.Logger) error {
	sys := os.DirFS("/sys")
	inventory, err := Inventory(sys, disks)
	if err != nil {
		return fmt.Errorf("look at the hardware: %w", err)
	}
	i := inspector{
		params: params, server: server, pause: pause.For, say: say, heard: listenLLDP(ctx, log),
		look: func(n map[string]neighbour) (provision.Inspection, error) {
			return inspection(sys, "/proc/cpuinfo", inventory, n), nil
		},
	}
	why, err := i.run(ctx)
	if err != nil {
		return err
	}
	say("%s: this machine starts again", why)
	return process1.Reboot()
}

// run says what was found, again and again, until the machine may go on. It returns why.
func (i inspector) run(ctx context.Context) (why string, err error) {
	last := ""
	for wait := firstInspectWait; ; wait = min(wait*3/2, maxInspectWait) {
		neighbours, listening := i.heard()
		found, err := i.look(neighbours)
		if err != nil {
			return "", err
		}
		found.Listening = listening
		answer, err := i.tell(ctx, found)
		if err != nil {
			return "", err
		}
		if answer.Restart != "" {
			return provision.Cut(answer.Restart, client.MaxReason), nil
		}
		if reason := provision.Cut(answer.Wait, client.MaxReason); reason != last {
			last = reason
			i.say("inspected: %s", reason)
		}
		if err := i.pause(ctx, wait-rand.N(wait/4)); err != nil {
			return "", err
		}
	}
}

func (i inspector) tell(ctx context.Context, found provision.Inspection) (answer wire.InspectAnswer, err error) {
	text, err := i.server.Post(ctx, wire.InspectPath, wire.InspectRequest{Token: i.params.Token, MAC: i.params.MAC, Inspection: found})
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil {
		return answer, fmt.Errorf("tell %s what is in this machine: %w", i.server.Base, err)
	}
	return answer, nil
}

// openToRead opens a disk so that it can only be read.
func openToRead(name string) (*os.File, error) { return os.OpenFile(name, os.O_RDONLY, 0) }

// inspection adds to the inventory what only an inspection asks for.
func inspection(sys fs.FS, cpuinfo string, inventory provision.Inventory, neighbours map[string]neighbour) provision.Inspection {
	found := provision.Inspection{
		Inventory: inventory, CPU: processorName(cpuinfo), SecureBoot: secureBoot(sys),
		Firmware: provision.Firmware{
			Kind: "bios", Vendor: hardware.Attribute(sys, "class/dmi/id/bios_vendor"),
			Version: hardware.Attribute(sys, "class/dmi/id/bios_version"), Date: hardware.Attribute(sys, "class/dmi/id/bios_date"),
		},
		BMC: hardware.BMC(sys), PCI: hardware.PCI(sys),
	}
	if hardware.UEFIBits(sys) != "" {
		found.Firmware.Kind = "uefi"
	}
	found.Interfaces = interfaces(sys) // links come up while the machine waits
	for k := range found.Interfaces {
		n := neighbours[found.Interfaces[k].Name]
		found.Interfaces[k].Switch, found.Interfaces[k].Port = n.system, n.port
	}
	return found
}

// processorName is the first processor's, as Linux shows it.
func processorName(file string) string {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// secureBoot is "on" or "off", or "" without the firmware's variable. A variable begins
// with four bytes of attributes (Linux, efivarfs).
func secureBoot(sys fs.FS) string {
	text, err := fs.ReadFile(sys, filepath.Join("firmware/efi/efivars", "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"))
	switch {
	case err != nil || len(text) < 5:
		return ""
	case text[4] == 1:
		return "on"
	}
	return "off"
}
