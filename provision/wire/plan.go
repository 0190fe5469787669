// Package wire is what a server and the machines that it serves say to each other: their
// agents, which install, start live and rescue systems or look at the hardware, and the
// systems that say that they run. So the server's boot chain knows this package, and not
// the agent.
package wire

import (
	"encoding/json"

	"cloudlets/images/target"
	"cloudlets/provision"
)

// Plan is what the agent is told when it claims its token: everything that it
// will do, before anything is written.
type Plan struct {
	// MAC is the machine, and Card its network card that claimed the plan.
	MAC  provision.MAC `json:"mac"`
	Card provision.MAC `json:"card,omitempty"`
	// Session authenticates the agent's further requests.
	Session  string              `json:"session"`
	Image    string              `json:"image"`
	Hostname string              `json:"hostname"`
	Disk     provision.DiskHints `json:"disk"`
	// Wipe allows the install to overwrite a disk that is not empty: a person said so
	// who armed this very install.
	Wipe bool `json:"wipe"`
	// Rollback says that nothing is installed, and names the slot, "a" or "b", whose system
	// is put on trial. It is "" for an install.
	Rollback string `json:"rollback,omitempty"`
	// Confirm says that the install waits before its first write, until a person has
	// confirmed what it will do.
	Confirm bool `json:"confirm,omitempty"`
	// Retry is how often the agent tries again by itself after a failure.
	Retry    int                `json:"retry,omitempty"`
	Handover provision.Handover `json:"handover"`
	// BootEntry asks for an entry in the boot order of UEFI firmware.
	BootEntry bool `json:"bootEntry,omitempty"`
	// Target is the disk as it shall be.
	Target target.Plan `json:"target"`
	// Init is the program that switch_root starts.
	Init    string `json:"init"`
	Pack    Blob   `json:"pack"`
	Overlay Blob   `json:"overlay"`
	// BootLoaders are the files that make the disk bootable, by their name
	// in images/disk ("boot.img", "core.img", "systemd-bootx64.efi").
	BootLoaders map[string]Blob `json:"bootLoaders"`
	// RAMDisk is what a system on a mirror starts with, see [target.MirrorRAMDisk]; the zero
	// value for others.
	RAMDisk Blob `json:"ramDisk,omitzero"`
	// Servers are the base URLs of all servers that can go on with this plan, if
	// the one that gave it does not answer any more.
	Servers []string `json:"servers,omitempty"`
	// ImageManifest is the image's manifest, for the record.
	ImageManifest json.RawMessage `json:"manifest,omitempty"`
}

// Blob is something to fetch: where, how long, and the digest that it has.
// A pack's digest is that of its table of contents, which covers the rest.
type Blob struct {
	Path   string `json:"path"` // on any server of the plan
	Size   int64  `json:"size"`
	Digest string `json:"digest"` // "sha256:…"
}
