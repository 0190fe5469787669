package agent

import (
	"fmt"

	"golang.org/x/sys/unix"

	"cloudlets/provision/bootorder"
)

// efivars is where Linux shows the variables of UEFI firmware.
const efivars = "/sys/firmware/efi/efivars"

// mountVariables mounts efivarfs, whose module must be loaded.
func mountVariables() (bootorder.Variables, func() error, error) {
	if err := unix.Mount("efivarfs", efivars, "efivarfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return nil, nil, fmt.Errorf("mount efivarfs on %s: %w (the image's kernel needs efivarfs, built in or as a module in the image)", efivars, err)
	}
	return bootorder.Dir(efivars), func() error {
		if err := unix.Unmount(efivars, 0); err != nil {
			return fmt.Errorf("unmount %s: %w", efivars, err)
		}
		return nil
	}, nil
}

// mountVariablesToLook makes the firmware's variables readable, where there are any. Only
// whether Secure Boot is on depends on it.
func mountVariablesToLook() {
	_ = unix.Mount("efivarfs", efivars, "efivarfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, "")
}
