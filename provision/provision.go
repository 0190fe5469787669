// Package provision has the nouns and the rules about machines. It is pure: it
// reads no files and stores nothing.
//
// The nouns are on this page. A [Spec] is what a person wants of a machine, as its
// file says. An [Event] is one thing that happened to it. A [State] is what is
// known about it now; [Fold] computes it from the events. [Decide] compares the
// two. It is the only place that allows a disk to be written: every boot and
// every claim asks it. What the agent on the machine then has to do is a
// wire.Plan, which it gets once for each token.
package provision

import (
	"net/netip"
	"time"

	"cloudlets/images/manifest"
)

// MAC is the hardware address of a network card, six bytes in lower case with
// colons, "52:54:00:12:34:56". It identifies a machine: the one whose file has this
// name. A machine may have more cards, see [Spec.Cards].
type MAC string

// Spec is what a person wants of one machine: its file in machines/, with
// the profiles that it extends folded in, checked and typed.
type Spec struct {
	// MAC is the machine's primary address, which is the name of its file.
	MAC MAC
	// Group is the file of the site that describes the machine together with others,
	// "machines/rack3.json"; "" if it has a file of its own.
	Group string `json:",omitempty"` // so that digests of sites without groups stay
	// Cards are the addresses of its further network cards, sorted. A packet or a
	// request of any of them is the machine's.
	Cards []MAC
	// UUID is the machine's, or "" if its file has none. A card that boots with it
	// and is in no file is the machine's.
	UUID UUID
	// Profiles are those that its file extends, and those that they extend, each once
	// and after those that it extends itself.
	Profiles []string
	// Image names a cloudlet in the site's images folder. If it is "", the
	// machine boots from its own disk, or what Boot says.
	Image string
	// EntryPoint names the image's kernel entry point; "" means its default.
	EntryPoint string
	// Hostname is the machine's name, or "" if the file has none.
	Hostname string
	// Address is the address that DHCP reserves for the machine. It is
	// invalid if the file has none.
	Address netip.Addr
	// MoreAddresses are those that DHCP reserves for it on other networks.
	MoreAddresses []netip.Addr
	// Config is the configuration of the machine's copy of the image.
	Config manifest.Config
	// Vars are values that templates see as env.vars, by names. They may be secret.
	Vars map[string]any `json:",omitempty"`
	// Tags are words by which people find machines, sorted; templates see them too.
	Tags []string `json:",omitempty"`
	// InstallOnce arms the machine's first install, without the verb install.
	InstallOnce bool
	Disk        DiskHints
	// Filesystem is that of the root: "ext4" (the default), "xfs" or "btrfs".
	Filesystem string
	Handover   Handover
	// Slots is how many systems the disk has room for: 2, or 0 for one. With 2, an install writes
	// the one that does not run, and the other stays until the new one has proved itself.
	Slots int `json:",omitempty"`
	// Mirror puts the slots and the persistent partition on the two disks that match Disk,
	// each of which has all of them. It takes two slots.
	Mirror bool `json:",omitempty"`
	// Persistent is the size in bytes of the partition for what the image calls
	// persistent, or 0 if the disk gets none. Installs keep one that is there.
	Persistent int64 `json:",omitempty"`
	// Cmdline is appended to the kernel command line.
	Cmdline string
	// SecureBoot says who signed the programs that the machine's UEFI firmware
	// starts. "" means that it starts any.
	SecureBoot SecureBoot
	// HTTPS says whether the machine boots by HTTPS, where the server has it. With
	// true its firmware gets https URLs and must trust the server's authority; with
	// false firmware and agent use plain HTTP. If it is nil, the agent uses HTTPS,
	// and the firmware does as cloudlets.json says.
	HTTPS *bool
	// Network is the network of the installed system; nil leaves it to the image.
	Network *Network
	// BootEntry makes the install put an entry for the disk into the boot order of
	// UEFI firmware.
	BootEntry bool
	// Retry is how often the agent tries again by itself after an attempt that failed.
	Retry int
	// Confirm makes each install wait before its first write, until a person has
	// confirmed what it will do.
	Confirm bool
	// Silent keeps the installed system from saying that it runs.
	Silent bool
	Quirks Quirks
	// Boot is what the machine boots while no install is to be done; nil means its own
	// disk.
	Boot *FileBoot
	// Power is how the machine is switched on and off from afar; nil if the file does
	// not say it.
	Power *Power
	// CloudInit is what the machine's cloud-init is told; nil if the file does not say it.
	CloudInit *CloudInit
	// Rules says which rules of its profiles matched; nil if its profiles have none. What
	// those set is in the other fields already.
	Rules *Ruling `json:"-"`
	// Rescue is what the machine's rescue systems are given, beside what all are; nil if
	// the file does not say it.
	Rescue *Rescue
}

// SecureBoot is who vouches for what a machine's firmware starts.
type SecureBoot string

// The two who can vouch.
const (
	// ByShim means that Microsoft vouches for Debian's shim, and shim for Debian's
	// GRUB and kernel. The machine gets them by PXE, and its disk gets them too.
	ByShim SecureBoot = "shim"
	// ByOwner means that the machines' owner vouches with a key of their own. The
	// machine gets kernel, RAM disk and command line as one signed program by UEFI
	// HTTP Boot, and its disk is signed with the same key.
	ByOwner SecureBoot = "owner"
)

// DefaultRetry and MaxRetry are what a [Spec] has for Retry if the file says nothing, and
// at most.
const (
	DefaultRetry = 3
	MaxRetry     = 100
)

// Quirks are deviations that a machine's firmware needs.
type Quirks struct {
	// BootFile replaces the boot loader's file name ("ipxe.efi").
	BootFile string `json:"bootFile,omitempty"`
	// OneStep answers UEFI PXE in the DHCP offer itself.
	OneStep bool `json:"oneStep,omitempty"`
	// FirmwareOrder sends a UEFI machine to its disk in the boot order of its firmware, and
	// not to the one that was installed.
	FirmwareOrder bool `json:"firmwareOrder,omitempty"`
}

// DiskHints select the disk to install on. A disk must match every hint that is
// given, and only one disk may match. Without hints, it is the machine's only
// disk that is not removable.
type DiskHints struct {
	Serial    string `json:"serial,omitempty"`
	WWN       string `json:"wwn,omitempty"`
	Model     string `json:"model,omitempty"`
	Transport string `json:"transport,omitempty"` // "nvme", "sata", "sas", "usb", "virtio", "mmc"
	// ByPath is the disk's name in /dev/disk/by-path, "pci-0000:00:04.0".
	ByPath string `json:"byPath,omitempty"`
	// MinSize and MaxSize bound the disk's size in bytes, inclusive; 0 means
	// no bound. In files they may be text with a unit: "8GB", "16GiB".
	MinSize int64 `json:"minSize,omitempty"`
	MaxSize int64 `json:"maxSize,omitempty"`
	// Rotational, if given, selects spinning disks (true) or others (false).
	Rotational *bool `json:"rotational,omitempty"`
}

// Handover is what the agent does when the disk is complete.
type Handover string

// The ways to hand a machine over to its new system.
const (
	Switch   Handover = "switch" // switch_root into the new disk, without going through the firmware again
	Reboot   Handover = "reboot"
	Kexec    Handover = "kexec"
	PowerOff Handover = "poweroff"
)

// Stage is how far a machine has come: "firmware", "stream", "installed".
type Stage string

// The stages of a machine, in the order of an install.
const (
	StageNew       Stage = "new"       // has a file, and was never seen to boot from the network
	StageStranger  Stage = "stranger"  // was seen, but has no file
	StageFirmware  Stage = "firmware"  // its firmware asked for an address
	StageLoader    Stage = "loader"    // it fetches a boot loader
	StageInspect   Stage = "inspect"   // the agent has looked at a stranger, and waits for approval
	StageKernel    Stage = "kernel"    // it fetches kernel and RAM disk
	StageBooted    Stage = "booted"    // it boots the kernel of an image as it is, which tells the server nothing
	StageLive      Stage = "live"      // the agent starts a system in memory, or has started it
	StageRescue    Stage = "rescue"    // the agent starts a rescue system in memory, or has started it
	StageAgent     Stage = "agent"     // the agent claimed its plan
	StageConfirm   Stage = "confirm"   // it has told what it will do, and waits for a person to confirm that
	StagePartition Stage = "partition" // the agent makes partitions and filesystems on the chosen disk
	StageStream    Stage = "stream"    // it writes the image's files
	StageConfigure Stage = "configure" // it writes the overlay and the boot loaders
	StageVerify    Stage = "verify"    // it reads back what it wrote
	StageBootable  Stage = "bootable"  // it did the last write, which makes the disk bootable
	StageHandover  Stage = "handover"  // it starts the new system
	StageInstalled Stage = "installed" // done, and disarmed
	StageRunning   Stage = "running"   // its new system says that it runs
	StageLocal     Stage = "local"     // sent to its own disk
	StageFailed    Stage = "failed"    // see State.Failure
)

// Kind is the kind of an [Event]: "dhcp", "armed".
type Kind string

// The kinds of event.
const (
	KindDHCP     Kind = "dhcp"     // a DHCP exchange
	KindTFTP     Kind = "tftp"     // a TFTP transfer
	KindHTTP     Kind = "http"     // a boot file fetched over HTTP
	KindDecision Kind = "decision" // what the machine shall do, and why
	KindArmed    Kind = "armed"    // a person armed an install
	KindDisarmed Kind = "disarmed" // the install was disarmed
	KindOrdered  Kind = "ordered"  // a person ordered what the machine boots once, or took that back
	KindClaim    Kind = "claim"    // the agent claimed its plan, or was refused
	KindPlan     Kind = "plan"     // the agent told what it will do to the disk
	KindConfirm  Kind = "confirm"  // a person confirmed that
	KindStage    Kind = "stage"    // the agent entered a stage
	KindProgress Kind = "progress" // how much of the stage's work is done; only the latest is kept
	KindLog      Kind = "log"      // something worth a line in the trace
	KindFailed   Kind = "failed"   // the install failed
	KindDone     Kind = "done"     // the disk is complete and bootable
	KindRunning  Kind = "running"  // the system on the disk runs, or the one in memory
	KindQuiet    Kind = "quiet"    // the machine was not heard for longer than its stage takes
	KindPower    Kind = "power"    // a person had the machine switched on or off
)

// Event is one thing that happened to a machine.
type Event struct {
	// ID orders all events of a store. The tracker that records the event
	// gives it the ID.
	ID   uint64    `json:"id"`
	Time time.Time `json:"time"`
	MAC  MAC       `json:"mac"`
	Kind Kind      `json:"kind"`
	// Card is the network card that the event came by, if that is not the
	// machine's primary one.
	Card MAC `json:"card,omitempty"`
	// Stage is the stage that the event begins, if it begins one.
	Stage Stage `json:"stage,omitempty"`
	// Text says what happened, Reason why.
	Text   string `json:"text"`
	Reason string `json:"reason,omitempty"`
	// By is the person or program that armed, disarmed, ordered, confirmed or switched, with
	// KindArmed, KindDisarmed, KindOrdered, KindConfirm and KindPower. If it is "", the server itself disarmed the machine.
	By string `json:"by,omitempty"`
	// Pin comes with KindArmed.
	Pin *Pin `json:"pin,omitempty"`
	// Order comes with KindOrdered: what the machine boots once. It is nil if an order is
	// taken back.
	Order *Boot `json:"order,omitempty"`
	// Booted comes with KindDecision, if the machine was told to boot by an order or by
	// what its file says.
	Booted *Booted `json:"booted,omitempty"`
	// Wipe comes with KindArmed, and says that the install may overwrite a disk that
	// is not empty.
	Wipe bool `json:"wipe,omitempty"`
	// Rollback says that the system in the other slot is to be started again, and nothing is
	// written but that. With KindArmed it is the ID of that system. It comes with KindDone,
	// too, and is not "" then.
	Rollback string `json:"rollback,omitempty"`
	// Confirm comes with KindArmed and KindClaim, and says that the install waits for a
	// person before it writes.
	Confirm bool `json:"confirm,omitempty"`
	// Proposal comes with KindPlan, and Digest, which is a [Proposal.Digest], with
	// KindConfirm.
	Proposal *Proposal `json:"proposal,omitempty"`
	Digest   string    `json:"digest,omitempty"`
	// System comes with a KindClaim that begins an install: what it writes; and with the
	// KindStage that begins [StageLive]: what is started.
	System *System `json:"system,omitempty"`
	// Nonce comes with the KindStage that begins [StageLive]: the [Booted.NonceMark] of the
	// agent. Runs comes with KindRunning: the ID of the system that runs.
	Nonce string `json:"nonce,omitempty"`
	Runs  string `json:"runs,omitempty"`
	// Report comes with KindDone.
	Report *Report `json:"report,omitempty"`
	// Beside comes with KindStage, KindDone and KindFailed, and says that the system is written beside
	// the one that the machine has, which stays.
	Beside bool `json:"beside,omitempty"`
	// Slot comes with KindStage and KindDone, and names the slot that is written, and with
	// KindRunning that of the system that runs. It is "" on a disk without slots.
	Slot string `json:"slot,omitempty"`
	// Again comes with KindFailed, and says that the agent tries again by itself.
	Again bool `json:"again,omitempty"`
	// Boot comes with KindRunning: the time since the system's kernel started.
	Boot time.Duration `json:"boot,omitempty"`
	// Plain comes with KindDHCP, and says that an operating system on the machine's disk
	// asked, and not its firmware or the agent.
	Plain bool `json:"plain,omitempty"`
	// Count is how often the same thing happened within a short time, if that
	// is more than once. Time is then that of the first time.
	Count int `json:"count,omitempty"`
	// Progress comes with KindProgress.
	Progress *Progress `json:"progress,omitempty"`
	// Facts are what the event says about the machine: "address",
	// "firmware", "arch", "uuid", "product", "serial", "disk", "image",
	// "pack", "hostname", "memory", "cpus", "macs" (those of all its network
	// cards), "cardOf" (the machine to which this stranger's card seems to belong).
	Facts map[string]string `json:"facts,omitempty"`
	// Found are the attributes of the machine's hardware, see [Inspection.Attributes],
	// if the event tells all of them.
	Found map[string]string `json:"found,omitempty"`
}

// Progress is how much of a stage's work is done, in bytes.
type Progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
	// Rate is bytes per second over the last few seconds.
	Rate int64 `json:"rate"`
}

// State is what is known about a machine now: the fold over its events.
type State struct {
	MAC   MAC       `json:"mac"`
	Stage Stage     `json:"stage"`
	Since time.Time `json:"since"`          // when the stage began
	Seen  time.Time `json:"seen"`           // the last event
	Heard time.Time `json:"heard,omitzero"` // the last sign of life of the machine itself
	// Asked is when an operating system on the machine last got another lease by DHCP, or
	// asked for the first time in its stage.
	Asked time.Time `json:"asked,omitzero"`
	// Armed says whether the next boot installs. ArmedBy and ArmedAt say who
	// armed the machine, and when.
	Armed   bool      `json:"armed"`
	ArmedBy string    `json:"armedBy,omitempty"`
	ArmedAt time.Time `json:"armedAt,omitzero"`
	// Pin is what was armed, and Wipe says that it may overwrite a disk that is not
	// empty.
	Pin  *Pin `json:"pin,omitempty"`
	Wipe bool `json:"wipe,omitempty"`
	// Rollback says that what is armed is no install: the system with this ID, in the other
	// slot, is put on trial. It is "" for an install.
	Rollback string `json:"rollback,omitempty"`
	// InstallID is the ID of the last install that ended well, see [System]. It stays when
	// it is not known any more what the machine has: what was told to the system on its
	// disk by that ID is still good.
	InstallID string `json:"installID,omitempty"`
	// Once is what a person ordered that the machine boots next, and only then. While an
	// install is armed, there is none.
	Once *BootOrder `json:"once,omitempty"`
	// Booted is what the machine was told to boot, if that was no install.
	Booted *Booted `json:"booted,omitempty"`
	// Confirm says that this install waits for a person before it writes. Confirmed is
	// the digest of the plan that a person confirmed, and ConfirmedBy who it was.
	Confirm     bool   `json:"confirm,omitempty"`
	Confirmed   string `json:"confirmed,omitempty"`
	ConfirmedBy string `json:"confirmedBy,omitempty"`
	// Proposal is what the agent of the present or last attempt said it would do; nil
	// once the install has ended well.
	Proposal *Proposal `json:"proposal,omitempty"`
	// Cancelled says that a person disarmed the machine, and nobody armed it
	// since. Then not even "install": "once" lets it install.
	Cancelled bool `json:"cancelled,omitempty"`
	// Restored says that the store was restored from a backup, or that the
	// machine's record was damaged, and nobody armed the machine since. What
	// happened to it is not known, so not even "install": "once" lets it install.
	Restored bool `json:"restored,omitempty"`
	// Installs counts the installs that succeeded.
	Installs    int       `json:"installs"`
	InstalledAt time.Time `json:"installedAt,omitzero"`
	// Has is the system on the machine's disk, as far as this site's installs put it
	// there. It is nil if there is none, and while an install overwrites it.
	Has *System `json:"has,omitempty"`
	// Kept is the system in the other slot of the disk: the one before Has, or after a
	// fall-back the one that did not prove itself. It is nil if it is not known.
	Kept *System `json:"kept,omitempty"`
	// Live is the system that was started in the machine's memory by its latest boot; nil if
	// none was. Its Time is that of its start.
	Live *System `json:"live,omitempty"`
	// OnTrial is the ID of the system that was put on trial last, whatever came of it; "" if
	// the last install put none on trial.
	OnTrial string `json:"onTrial,omitempty"`
	// Report is what the agent said of the last install that ended well.
	Report *Report `json:"report,omitempty"`
	// Writing is what the install writes that began last and has not ended well.
	Writing *System `json:"writing,omitempty"`
	// Running is what the machine's system told when it came up; nil once the machine
	// starts anew.
	Running *Running `json:"running,omitempty"`
	// Quiet is set when the machine was not heard for too long; nil once it is heard.
	Quiet *Quiet `json:"quiet,omitempty"`
	// Failure is why the last install failed; "" once a new one begins.
	Failure string `json:"failure,omitempty"`
	// Again says that after this failure the agent tries again by itself.
	Again    bool              `json:"again,omitempty"`
	Progress *Progress         `json:"progress,omitempty"`
	Facts    map[string]string `json:"facts,omitempty"`
	// Found are the attributes of its hardware, as an agent last told them, see
	// [Inspection.Attributes]; nil if none ever did. The rules of profiles and templates
	// ask for them. The map is never changed.
	Found map[string]string `json:"found,omitempty"`
	// Cards are the network cards by which the machine booted and showed a UUID: the
	// primary one, too.
	Cards map[MAC]CardSeen `json:"cards,omitempty"`
	// Stages are the stages of the latest boot, with the time when each began.
	Stages []StageTime `json:"stages,omitempty"`
}

// Running is what a system tells when it has come up.
type Running struct {
	// Time is when it said so, and Boot the time since its kernel started.
	Time time.Time     `json:"time"`
	Boot time.Duration `json:"boot,omitempty"`
}

// CardSeen is what a network card showed when it last booted.
type CardSeen struct {
	UUID UUID      `json:"uuid"`
	Time time.Time `json:"time"`
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
	ActionKernel   Action = "kernel"   // boot the kernel of an image as it is
	ActionLive     Action = "live"     // boot the agent, which starts an image's system in memory and installs nothing
	ActionRescue   Action = "rescue"   // boot the agent, which starts an image's files in memory and writes nothing
	ActionInspect  Action = "inspect"  // a stranger: boot the agent, which looks at the hardware and writes nothing
	ActionDiscover Action = "discover" // a stranger: record it, and let it go to its next boot device
)

// Decision is an action, and the reason for it.
type Decision struct {
	Action Action
	Reason string
	// Boot is what an order or the machine's file says that it boots; otherwise nil.
	Boot *Boot
	// Order is the time of that order, which the boot uses up; zero if it is none.
	Order time.Time
}
