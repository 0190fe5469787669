package install

import (
	"path"

	"cloudlets/images/disk/bootloader"
)

// menu returns the boot menu, and sets i.kernel to its default entry. It takes
// the kernels from the disk that was just written, so that the machine boots
// what was verified.
func (i *installer) menu() (bootloader.Menu, error) {
	menu, err := i.plan.Target.Menu(i.layout, func(file string) (bootloader.Payload, error) {
		return bootloader.FilePayload(path.Join(i.Target, file))
	})
	if err != nil {
		return menu, err
	}
	i.kernel = i.plan.Target.Entries[0]
	i.kernel.Cmdline = menu.Entries[0].Cmdline
	return menu, nil
}
