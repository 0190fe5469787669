package provision

import (
	"errors"
	"fmt"
)

// Decide says what a machine that boots from the network shall do. It is the
// one place that lets a disk be written: only [ActionInstall] does. The spec
// is nil for a machine that no file of the site describes.
//
// An install runs while a person has armed it, or, where the file says
// "install": "once", until the machine's first install has ended well; then
// it is disarmed. A failed install may be tried again. A person who cancels
// has the last word until a person arms the machine again.
func Decide(spec *Spec, state State) Decision {
	switch {
	case spec == nil:
		return Decision{ActionDiscover, strangerReason(state)}
	case spec.Image == "":
		return Decision{ActionLocal, fmt.Sprintf("%s names no image, so the machine boots from its own disk", spec.MAC.File())}
	case state.Armed:
		return Decision{ActionInstall, armedReason(spec, state)}
	case spec.InstallOnce && state.Installs == 0 && !state.Cancelled:
		return Decision{ActionInstall, onceReason(spec, state)}
	default:
		return Decision{ActionLocal, localReason(spec, state)}
	}
}

func strangerReason(state State) string {
	if state.MAC == "" {
		return "no file in machines/ describes this machine"
	}
	return fmt.Sprintf("the site has no good file %s, so nothing is known of this machine and its disk is left alone", state.MAC.File())
}

func armedReason(spec *Spec, state State) string {
	who := ""
	if state.ArmedBy != "" {
		who = " by " + state.ArmedBy
	}
	if !state.ArmedAt.IsZero() {
		who += state.ArmedAt.Format(" at 2006-01-02 15:04:05")
	}
	return fmt.Sprintf("an install of %s was armed%s%s", spec.Image, who, afterFailure(state))
}

func onceReason(spec *Spec, state State) string {
	return fmt.Sprintf("%s says \"install\": \"once\", and no install of %s has ended well yet%s",
		spec.MAC.File(), spec.Image, afterFailure(state))
}

func afterFailure(state State) string {
	if state.Failure == "" {
		return ""
	}
	return "; the last try failed: " + state.Failure
}

func localReason(spec *Spec, state State) string {
	arm := fmt.Sprintf("`cloudlets install %s` arms one", spec.MAC)
	switch {
	case state.Cancelled:
		return "its install was cancelled, so it boots from its own disk; " + arm
	case state.Installs > 0:
		return fmt.Sprintf("it was installed at %s and no new install is armed, so it boots from its own disk; %s",
			state.InstalledAt.Format("2006-01-02 15:04:05"), arm)
	default:
		return "no install is armed, so it boots from its own disk; " + arm
	}
}

// ErrNotInstallable is why an install cannot be armed: the machine is in no
// file, or its file names no image. The error says what to write where.
var ErrNotInstallable = errors.New("the machine cannot be installed")

// CheckInstallable refuses to arm what could never be installed.
func CheckInstallable(mac MAC, spec *Spec) error {
	switch {
	case spec == nil:
		return fmt.Errorf("arm install of %s: %w: no good file of the site describes it; write {\"image\": \"NAME\"} into %s, with the name of a folder or tarball in images/",
			mac, ErrNotInstallable, mac.File())
	case spec.Image == "":
		return fmt.Errorf("arm install of %s: %w: its file names no image; add \"image\": \"NAME\" to %s, with the name of a folder or tarball in images/",
			mac, ErrNotInstallable, mac.File())
	}
	return nil
}
