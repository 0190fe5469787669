package provision

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
)

// Decide says what a machine that boots from the network shall do. It is the only
// place that allows a disk to be written, and only with [ActionInstall]. The spec
// is nil if no file of the site describes the machine.
//
// A machine installs while it is armed. If its file says "install": "once", it
// also installs until its first install has succeeded. Success disarms it; after
// a failure the next boot tries again. If a person cancels the install, the
// machine does not install until a person arms it again. The same holds for all
// machines after the server's state was restored from a backup, and of a server that
// knows other orders for the machine than the one where its install was armed.
//
// Otherwise it boots what a person ordered for once, or what its file names, or from its
// own disk. An order goes before the first install of a file that says "install": "once",
// which waits for the boot after: it writes nothing, and a person gave it last. There is
// none while an install is armed, see [State.CheckNotArmed].
func Decide(spec *Spec, state State) Decision {
	switch {
	case spec == nil:
		return Decision{Action: ActionDiscover, Reason: strangerReason(state)}
	case state.Armed && state.Rollback != "":
		return state.decideRollback()
	case state.Armed && spec.Image != "":
		if err := state.Pin.CheckOrder(spec); err != nil {
			return Decision{Action: ActionLocal, Reason: armedReason(spec, state) + "; but " + err.Error()}
		}
		return Decision{Action: ActionInstall, Reason: armedReason(spec, state)}
	case state.Once != nil:
		return state.Once.decide()
	case spec.Image != "" && spec.InstallOnce && state.Installs == 0 && !state.Cancelled && !state.Restored:
		return Decision{Action: ActionInstall, Reason: onceReason(spec, state)}
	case spec.Boot != nil:
		return spec.Boot.decide(spec.File())
	case spec.Image == "":
		return Decision{Action: ActionLocal, Reason: fmt.Sprintf("%s names no image, so the machine boots from its own disk", spec.File())}
	default:
		return Decision{Action: ActionLocal, Reason: localReason(spec, state)}
	}
}

func strangerReason(state State) string {
	if state.MAC == "" {
		return "no file in machines/ describes this machine"
	}
	if machine := MAC(state.Facts["cardOf"]); machine != "" {
		return fmt.Sprintf("it seems to be a network card of %s, which showed the same UUID or has this card: if that is so, add \"macs\": [%q] to %s; until then its disk is left alone, since a UUID can be forged or be that of many boards",
			machine, state.MAC, machine.File())
	}
	return fmt.Sprintf("the site has no good file %s for this machine, so its disk is left alone", state.MAC.File())
}

func armedReason(spec *Spec, state State) string {
	who := ""
	if state.ArmedBy != "" {
		who = " by " + state.ArmedBy
	}
	if !state.ArmedAt.IsZero() {
		who += state.ArmedAt.Format(" at 2006-01-02 15:04:05")
	}
	if state.Wipe {
		who += ", whatever is on the disk"
	}
	return fmt.Sprintf("an install of %s was armed%s%s", spec.Image, who, afterFailure(state))
}

func onceReason(spec *Spec, state State) string {
	return fmt.Sprintf("%s says \"install\": \"once\", and no install of %s has succeeded yet%s",
		spec.File(), spec.Image, afterFailure(state))
}

func afterFailure(state State) string {
	if state.Failure == "" {
		return ""
	}
	return "; the last attempt failed: " + state.Failure
}

func localReason(spec *Spec, state State) string {
	arm := fmt.Sprintf("`cloudlets install %s` arms one", spec.MAC)
	switch {
	case state.Cancelled:
		return "its install was cancelled, so it boots from its own disk; " + arm
	case state.Restored && state.Installs == 0:
		return "the server's state was damaged or restored from a backup, and nobody knows whether the machine was installed meanwhile, so it boots from its own disk; " + arm
	case state.Installs > 0:
		return fmt.Sprintf("it was installed at %s and no new install is armed, so it boots from its own disk; %s",
			state.InstalledAt.Format("2006-01-02 15:04:05"), arm)
	default:
		return "no install is armed, so it boots from its own disk; " + arm
	}
}

// ErrDiskNotEmpty says that an install cannot be armed, since it would find a system on
// the machine's disk and refuse to overwrite it.
var ErrDiskNotEmpty = errors.New("the machine's disk is not empty")

// CheckDisk returns an [ErrDiskNotEmpty] if an install that does not wipe would find the
// system that this site put on the disk which the machine's file names. If the file
// names another disk now, the installer on the machine looks what is on that.
func CheckDisk(spec *Spec, state State) error {
	if state.Has == nil || !reflect.DeepEqual(state.Has.Hints, spec.Disk) || state.Has.Keeps && spec.Keeps() {
		return nil
	}
	return fmt.Errorf("arm install of %s: %w: %s has %s, which was installed at %s; `cloudlets install %s --wipe` arms an install that overwrites the disk, whatever is on it",
		state.MAC, ErrDiskNotEmpty, cmp.Or(state.Has.Disk, "the disk"), state.Has.Image, state.Has.Time.Format("2006-01-02 15:04:05"), state.MAC)
}

// decideRollback is the decision for a machine that is to go back to the system in its other
// slot. If it went there by itself meanwhile, there is nothing to do.
func (s State) decideRollback() Decision {
	reason := fmt.Sprintf("%s ordered at %s that it goes back to the system in its other slot", cmp.Or(s.ArmedBy, "somebody"), s.ArmedAt.Format("2006-01-02 15:04:05"))
	if s.Kept == nil || s.Kept.ID != s.Rollback {
		return Decision{Action: ActionLocal, Reason: reason + "; but that is not there any more, or is the one that it has: `cloudlets install " + string(s.MAC) + " --cancel` takes the order back"}
	}
	return Decision{Action: ActionInstall, Reason: reason + afterFailure(s)}
}

// ErrNoOtherSlot says that a machine cannot be rolled back.
var ErrNoOtherSlot = errors.New("there is no system to go back to")

// CheckRollback returns an [ErrNoOtherSlot] unless the machine has a second system, as far
// as this site's installs put it there.
func CheckRollback(spec *Spec, state State) error {
	switch {
	case state.Installing():
		return fmt.Errorf("roll %s back: %w: it is being installed now", state.MAC, ErrNoOtherSlot)
	case spec.Slots != 2:
		return fmt.Errorf("roll %s back: %w: its file does not say \"slots\": 2", state.MAC, ErrNoOtherSlot)
	case state.Kept == nil:
		return fmt.Errorf("roll %s back: %w: no update was written beside the system that it has", state.MAC, ErrNoOtherSlot)
	}
	return nil
}

// ErrNotInstallable says that an install cannot be armed, since the machine has
// no file or its file names no image. The error that wraps it says what to write
// into which file.
var ErrNotInstallable = errors.New("the machine cannot be installed")

// CheckInstallable returns an [ErrNotInstallable] if the machine could never be
// installed.
func CheckInstallable(mac MAC, spec *Spec) error {
	switch {
	case spec == nil:
		return fmt.Errorf("arm install of %s: %w: no good file of the site describes it; write {\"image\": \"NAME\"} into %s, with the name of a folder or tarball in images/",
			mac, ErrNotInstallable, mac.File())
	case spec.Image == "":
		return fmt.Errorf("arm install of %s: %w: its file names no image; add \"image\": \"NAME\" to %s, with the name of a folder or tarball in images/",
			mac, ErrNotInstallable, spec.File())
	}
	return nil
}
