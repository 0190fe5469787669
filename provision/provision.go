// Package provision knows the machines: what each shall be, which its files
// say; what each is, which its events say; and what follows from the two.
//
// The nouns stand on this page. A [Spec] is what a person wants of a machine.
// An [Event] is one thing that happened to it, and a [State] is the fold over
// its events. [Decide] is the one place that says whether a disk may be
// written: every boot path and every claim goes through it. A [wire.Plan] is what
// the agent on the machine is told to do, once, for one token.
package provision

import (
	"net/netip"
	"time"

	"cloudlets/images/manifest"
)

// MAC identifies a machine: the hardware address of the interface that it
// boots from, six bytes in lower case with colons, "52:54:00:12:34:56".
type MAC string

// Spec is what a person wants of one machine: its file in machines/, with
// the profiles that it extends folded in, checked and typed.
type Spec struct {
	MAC MAC
	// Image names a cloudlet of the site's images folder; "" lets the
	// machine boot from its own disk.
	Image string
	// EntryPoint names the image's kernel entry point; "" is its default.
	EntryPoint string
	// Hostname is the machine's name; "" where the file gives none.
	Hostname string
	// Address is the address that DHCP reserves for the machine; invalid
	// where the file gives none.
	Address netip.Addr
	// Config is the configuration of the machine's copy of the image.
	Config manifest.Config
	// InstallOnce arms the machine's first install without a further word.
	InstallOnce bool
	Disk        DiskHints
	// Wipe allows a disk with something on it to be overwritten.
	Wipe bool
	// Filesystem of the root: "ext4" (the default), "xfs" or "btrfs".
	Filesystem string
	Handover   Handover
	// Cmdline is appended to the kernel command line.
	Cmdline string
	Quirks  Quirks
}

// Quirks are what a machine's firmware needs that others do not.
type Quirks struct {
	// BootFile replaces the boot loader's file name ("ipxe.efi").
	BootFile string `json:"bootFile,omitempty"`
	// OneStep answers UEFI PXE in the DHCP offer itself.
	OneStep bool `json:"oneStep,omitempty"`
}

// DiskHints select the disk to install on. Every hint given must match; two
// matches are an error. Without hints, the one disk that is not removable.
type DiskHints struct {
	Serial    string `json:"serial,omitempty"`
	WWN       string `json:"wwn,omitempty"`
	Model     string `json:"model,omitempty"`
	Transport string `json:"transport,omitempty"` // "nvme", "sata", "sas", "usb", "virtio", "mmc"
	// ByPath is the disk's name in /dev/disk/by-path, "pci-0000:00:04.0".
	ByPath string `json:"byPath,omitempty"`
	// MinSize and MaxSize bound the disk's size in bytes, inclusive; 0 is no
	// bound. In files they may be text with a unit: "8GB", "16GiB".
	MinSize int64 `json:"minSize,omitempty"`
	MaxSize int64 `json:"maxSize,omitempty"`
	// Rotational, where given, tells spinning disks from the others.
	Rotational *bool `json:"rotational,omitempty"`
}

// Handover is what the agent does when the disk is done.
type Handover string

// The ways to hand a machine over to its new system.
const (
	Switch   Handover = "switch" // switch_root into the new disk, no second trip through the firmware
	Reboot   Handover = "reboot"
	Kexec    Handover = "kexec"
	PowerOff Handover = "poweroff"
)

// Stage is how far a machine has come.
type Stage string

// The stages of a machine, in the order of an install.
const (
	StageNew       Stage = "new"       // named in a file, never seen
	StageStranger  Stage = "stranger"  // seen, named in no file
	StageFirmware  Stage = "firmware"  // its firmware asked for an address
	StageLoader    Stage = "loader"    // it fetches a boot loader
	StageKernel    Stage = "kernel"    // it fetches kernel and RAM disk
	StageAgent     Stage = "agent"     // the agent claimed its plan
	StagePartition Stage = "partition" // disk chosen, partitions and filesystems
	StageStream    Stage = "stream"    // files travel to the disk
	StageConfigure Stage = "configure" // overlay and boot loaders
	StageVerify    Stage = "verify"    // what was written is read back
	StageBootable  Stage = "bootable"  // the last write is done
	StageHandover  Stage = "handover"  // the agent lets go
	StageInstalled Stage = "installed" // done, and disarmed
	StageLocal     Stage = "local"     // sent to its own disk
	StageFailed    Stage = "failed"    // see State.Failure
)

// Kind says what sort of thing happened.
type Kind string

// The kinds of event.
const (
	KindDHCP     Kind = "dhcp"     // a DHCP exchange
	KindTFTP     Kind = "tftp"     // a TFTP transfer
	KindHTTP     Kind = "http"     // a boot file fetched over HTTP
	KindDecision Kind = "decision" // what the machine shall do, and why
	KindArmed    Kind = "armed"    // a person armed an install
	KindDisarmed Kind = "disarmed" // the install was disarmed
	KindClaim    Kind = "claim"    // the agent claimed its plan, or was refused
	KindStage    Kind = "stage"    // the agent entered a stage
	KindProgress Kind = "progress" // bytes of the stage's work; kept only as the latest
	KindLog      Kind = "log"      // something worth a line in the trace
	KindFailed   Kind = "failed"   // the install failed
	KindDone     Kind = "done"     // the disk is complete and bootable
)

// Event is one thing that happened to a machine.
type Event struct {
	// ID orders all events of a store; it is given by the store.
	ID   uint64    `json:"id"`
	Time time.Time `json:"time"`
	MAC  MAC       `json:"mac"`
	Kind Kind      `json:"kind"`
	// Stage is the stage that the event begins, if it begins one.
	Stage Stage `json:"stage,omitempty"`
	// Text says what happened, Reason why.
	Text   string `json:"text"`
	Reason string `json:"reason,omitempty"`
	// By is who did it, with KindArmed and KindDisarmed. A disarming without
	// it is the server's own doing, and no person's wish.
	By string `json:"by,omitempty"`
	// Count is how often the same thing happened within a short time, where
	// that is more than once; Time is then that of the first.
	Count int `json:"count,omitempty"`
	// Progress comes with KindProgress.
	Progress *Progress `json:"progress,omitempty"`
	// Facts are what the event teaches about the machine: "address",
	// "firmware", "arch", "uuid", "product", "serial", "disk", "image",
	// "pack", "hostname", "memory", "cpus".
	Facts map[string]string `json:"facts,omitempty"`
}

// Progress is how far a stage's work has come, in bytes.
type Progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
	// Rate is bytes per second over the last few seconds.
	Rate int64 `json:"rate"`
}

// State is what is known of a machine now: the fold over its events.
type State struct {
	MAC   MAC       `json:"mac"`
	Stage Stage     `json:"stage"`
	Since time.Time `json:"since"` // when the stage began
	Seen  time.Time `json:"seen"`  // the last event
	// Armed says that the next boot installs. ArmedBy and ArmedAt tell who
	// armed it and when.
	Armed   bool      `json:"armed"`
	ArmedBy string    `json:"armedBy,omitempty"`
	ArmedAt time.Time `json:"armedAt,omitzero"`
	// Cancelled says that a person's last word was to disarm: then not even
	// "install": "once" arms the machine, until a person does.
	Cancelled bool `json:"cancelled,omitempty"`
	// Installs counts the installs that ended well.
	Installs    int       `json:"installs"`
	InstalledAt time.Time `json:"installedAt,omitzero"`
	// Failure is why the last install failed; "" once a new one begins.
	Failure  string            `json:"failure,omitempty"`
	Progress *Progress         `json:"progress,omitempty"`
	Facts    map[string]string `json:"facts,omitempty"`
	// Stages are the stages of the latest boot with the time of their start.
	Stages []StageTime `json:"stages,omitempty"`
}

// StageTime is when a stage began.
type StageTime struct {
	Stage Stage     `json:"stage"`
	Time  time.Time `json:"time"`
}

// Action is what a machine that boots from the network shall do.
type Action string

// The actions.
const (
	ActionInstall  Action = "install"  // boot the agent and write the disk
	ActionLocal    Action = "local"    // boot from its own disk
	ActionDiscover Action = "discover" // a stranger: recorded, and let go to its next boot device
)

// Decision is an action and why it was taken.
type Decision struct {
	Action Action
	Reason string
}
