package provision

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"cloudlets/images/manifest"
)

// BootKind is what a machine boots besides an install.
type BootKind string

// The kinds. With none of them does the server or the agent make anything on a disk.
// [BootLive] uses a persistent partition that an install made.
const (
	BootKernel BootKind = "kernel" // an image's kernel and initrd, as they are
	BootLive   BootKind = "live"   // an image's system in memory
	BootRescue BootKind = "rescue" // an image's files in memory, with a shell; only by an order
	BootLocal  BootKind = "local"  // the machine's own disk
)

// BootKinds are all of them.
func BootKinds() []BootKind { return []BootKind{BootKernel, BootLive, BootRescue, BootLocal} }

// Boot is what a machine shall boot.
type Boot struct {
	Kind BootKind `json:"kind"`
	// Image is a cloudlet in the site's images folder; "" with [BootLocal], and with
	// [BootLive] and [BootRescue] for the one that the machine's file names.
	Image string `json:"image,omitempty"`
	// EntryPoint names its kernel entry point; "" means its default.
	EntryPoint string `json:"entrypoint,omitempty"`
	// Mount comes with [BootRescue]: the filesystems on the machine's disks are mounted,
	// to be read.
	Mount bool `json:"mount,omitempty"`
}

// InMemory says whether the agent starts an image in memory.
func (b Boot) InMemory() bool { return b.Kind == BootLive || b.Kind == BootRescue }

// String returns "kernel memtest", "kernel memtest (uefi)", "live", "rescue" or "local".
func (b Boot) String() string {
	text := string(b.Kind)
	if b.Image != "" {
		text += " " + b.Image
	}
	if b.EntryPoint != "" {
		text += " (" + b.EntryPoint + ")"
	}
	if b.Mount {
		text += ", with its disks mounted to be read"
	}
	return text
}

// FileBoot is what a machine's file says that it boots, each time.
type FileBoot struct {
	Boot
	// Config is the configuration for the templates of that image.
	Config manifest.Config
}

// BootOrder is what a person ordered that a machine boots, once.
type BootOrder struct {
	Boot
	By string    `json:"by,omitempty"`
	At time.Time `json:"at"`
}

// Booted is what a machine was told to boot by its latest script.
type Booted struct {
	Boot
	// ID is different for each boot. See [Booted.FilesToken].
	ID string `json:"id,omitempty"`
	// Card is the network card that it boots by.
	Card MAC `json:"card,omitempty"`
	// Order is the time of the order that this boot uses up. It is zero if the
	// machine's file says what it boots.
	Order time.Time `json:"order,omitzero"`
	// Told marks the agent that was told what to start in memory, by its nonce. No other one
	// is told that, as it has secrets; and the token is in the kernel's command line, which
	// anyone on the machine can read.
	Told string `json:"told,omitempty"`
}

// SameBoot says whether a machine that was told to boot something is told the same again,
// by its file. A person's order is carried out once.
func SameBoot(last *Booted, next Booted) bool {
	return last != nil && last.Boot == next.Boot && last.Card == next.Card && last.Order.IsZero() && next.Order.IsZero()
}

// FilesToken is the secret by which a machine fetches the templates of the image that
// it boots, rendered for it. It is good until the machine is told to boot again.
func (b Booted) FilesToken(mac MAC, key []byte) string { return b.token("files", mac, key) }

// RescueToken is the secret by which the agent of a rescue asks what to do. It is good for
// as long, and for nothing else: there is no plan for it, so no disk can be written.
func (b Booted) RescueToken(mac MAC, key []byte) string { return b.token("rescue", mac, key) }

// LiveToken is the secret by which the agent of a live machine asks what to start. It is
// good for one agent, see [Booted.CheckTold], and there is no plan for it either.
func (b Booted) LiveToken(mac MAC, key []byte) string { return b.token("live", mac, key) }

// LiveSaidToken is the secret by which that agent says how the start goes on. It is good for
// nothing else, until the machine is told to boot again.
func (b Booted) LiveSaidToken(mac MAC, key []byte) string { return b.token("live-said", mac, key) }

// NonceMark is a mark of an agent's nonce, by which [Booted.CheckTold] knows the agent again.
func (b Booted) NonceMark(nonce string, key []byte) string { return b.token("nonce "+nonce, "", key) }

// ErrTold says that another agent was told what to start in memory.
var ErrTold = errors.New("what this boot starts in memory was told already")

// CheckTold returns an [ErrTold] unless an agent with a nonce may be told what a boot starts
// in memory: the first that asks, as often as its answers are lost, until its system runs.
func (s State) CheckTold(b Booted, nonceMark string) error {
	if s.Booted == nil || s.Booted.ID != b.ID || s.Booted.Told != "" && s.Booted.Told != nonceMark || s.Stage == StageRunning {
		return fmt.Errorf("%w: restart the machine %s, so that it boots anew", ErrTold, s.MAC)
	}
	return nil
}

func (b Booted) token(use string, mac MAC, key []byte) string {
	mark := hmac.New(sha256.New, key)
	fmt.Fprintf(mark, "%s %s %s", use, mac, b.ID)
	return hex.EncodeToString(mark.Sum(nil)[:16])
}

// Rescue is what rescue systems are given.
type Rescue struct {
	// SSHKeys are public keys, as lines of authorized_keys, that log in as root.
	SSHKeys []string `json:"sshKeys,omitempty"`
}

// Booting is the spec by which the image that a machine boots is rendered for it: its
// own, with that image. The configuration is the one that the machine's file has for
// the image.
func (s *Spec) Booting(b Boot) *Spec {
	booting := *s
	if b.InMemory() && (b.Image == "" || b.Image == s.Image) {
		booting.EntryPoint = cmp.Or(b.EntryPoint, s.EntryPoint)
		return &booting
	}
	booting.Image, booting.EntryPoint, booting.Config = b.Image, b.EntryPoint, manifest.Config{}
	switch {
	case s.Boot != nil && s.Boot.Image == b.Image:
		booting.Config = s.Boot.Config
	case s.Image == b.Image:
		booting.Config = s.Config
	}
	return &booting
}

// ErrNotBootable says that a machine cannot be ordered to boot something. The error
// that wraps it says why, and what to do.
var ErrNotBootable = errors.New("the machine cannot boot that")

// CheckBoot returns an [ErrNotBootable] if a machine could not boot something.
func CheckBoot(mac MAC, spec *Spec, b Boot) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrNotBootable, fmt.Sprintf(format, args...))
	}
	switch {
	case spec == nil:
		return refuse("no good file of the site describes it; `cloudlets approve %s` writes one", mac)
	case b.Kind == BootLocal && (b.Image != "" || b.EntryPoint != ""):
		return refuse("its own disk is no image: leave out %s", cmp.Or(b.Image, b.EntryPoint))
	case b.Mount && b.Kind != BootRescue:
		return refuse("only a rescue mounts the disks")
	case b.Kind == BootLocal:
		return nil
	case b.InMemory() && b.Image == "" && spec.Image == "":
		return refuse("%s names no image whose files it could have: name one, as in `cloudlets boot %s --once %s IMAGE`", mac.File(), mac, b.Kind)
	case b.InMemory() && spec.SecureBoot == ByOwner && b.Image != "" && b.Image != spec.Image:
		return refuse("%s says \"secureBoot\": \"owner\", and what its owner signed has the kernel of its own image: leave out %s", mac.File(), b.Image)
	case b.InMemory():
		return nil
	case b.Kind != BootKernel:
		return refuse("%q is not known; want one of %q", b.Kind, BootKinds())
	case b.Image == "":
		return refuse("no image is named; want a cloudlet of images/ that has the kernel")
	case spec.SecureBoot == ByOwner:
		return refuse("%s says \"secureBoot\": \"owner\", so its firmware starts only what the owner signed, and this server signs only what it made itself", spec.File())
	}
	return nil
}

// CheckNotArmed refuses an order to boot something while an install is armed: the next
// boot would be the install, and nobody could tell what the one after it finds.
func (s State) CheckNotArmed(b Boot) error {
	if !s.Armed {
		return nil
	}
	return fmt.Errorf("order %s of %s: %w: an install is armed, which would go first; `cloudlets install %s --cancel` disarms it", b, s.MAC, ErrNotBootable, s.MAC)
}

// CheckNotOrdered refuses to arm an install while the machine is ordered to boot
// something else.
func (s State) CheckNotOrdered() error {
	if s.Once == nil {
		return nil
	}
	return fmt.Errorf("arm install of %s: %w: its next boot is ordered to be %s; `cloudlets boot %s --cancel` takes that back", s.MAC, ErrNotInstallable, s.Once.Boot, s.MAC)
}

// ErrBootTaken says that an order was carried out or taken back meanwhile.
var ErrBootTaken = errors.New("the order is used up already")

// CheckOrdered returns an [ErrBootTaken] if a boot would use up an order that is not
// there.
func (s State) CheckOrdered(b Booted) error {
	if b.Order.IsZero() || s.Once != nil && s.Once.At.Equal(b.Order) {
		return nil
	}
	return ErrBootTaken
}

// booted is the state after a machine was told what to boot: nil is an install, or its
// own disk because there is nothing else to do.
func (s State) booted(b *Booted) State {
	s.Booted, s.Live = b, nil
	if b != nil && s.CheckOrdered(*b) == nil && !b.Order.IsZero() {
		s.Once = nil
	}
	return s
}

// decide decides about a boot that a person ordered once.
func (o *BootOrder) decide() Decision {
	who := ""
	if o.By != "" {
		who = " by " + o.By
	}
	return Decision{
		Action: o.action(), Boot: &o.Boot, Order: o.At,
		Reason: fmt.Sprintf("boot %s, once, ordered%s%s", o.Boot, who, o.At.Format(" at 2006-01-02 15:04:05")),
	}
}

// decide decides about a boot that the machine's file names.
func (f *FileBoot) decide(file string) Decision {
	return Decision{Action: f.action(), Boot: &f.Boot, Reason: fmt.Sprintf("boot %s, since %s says so", f.Boot, file)}
}

func (b Boot) action() Action {
	switch b.Kind {
	case BootKernel:
		return ActionKernel
	case BootLive:
		return ActionLive
	case BootRescue:
		return ActionRescue
	}
	return ActionLocal
}
