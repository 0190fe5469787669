package depot

import (
	"fmt"
	"slices"
	"strings"

	"cloudlets/provision"
)

// Suits says why a kit is not for a machine, by the machine's file and the
// architecture of its processor. "" is an architecture that is not known.
func (d *Depot) Suits(spec *provision.Spec, kit *Kit, arch string) error {
	if err := kit.Kernels[0].Check(arch); err != nil {
		return err
	}
	if !slices.Contains(kit.Filesystems, spec.Filesystem) {
		return fmt.Errorf("machines/%s.json asks for the filesystem %q, and with the image %s there is only %s: for ext4 the image's kernel must support it; for others the image must also contain their mkfs, such as mkfs.xfs or mkfs.btrfs", spec.MAC, spec.Filesystem, spec.Image, strings.Join(kit.Filesystems, ", "))
	}
	if spec.Slots == 2 && kit.Signed != nil {
		return fmt.Errorf("machine %s has \"slots\": 2, and its disk could not be made bootable: %w", spec.MAC, kit.Signed)
	}
	if spec.Mirror && len(kit.NotMirror) > 0 {
		return fmt.Errorf("machine %s has \"mirror\": true, and kernel %s of %s has no %s: use a kernel that has it, e.g. from Debian's package linux-image-amd64",
			spec.MAC, kit.Kernels[0].Version, spec.Image, strings.Join(kit.NotMirror, ", no "))
	}
	if spec.Boot != nil && spec.Boot.Kind == provision.BootLive && spec.Boot.Image == "" && len(kit.NotLive) > 0 {
		return fmt.Errorf("machine %s has \"boot\": \"live\", and kernel %s of %s has no %s", spec.MAC, kit.Kernels[0].Version, spec.Image, strings.Join(kit.NotLive, ", no "))
	}
	return d.SuitsSecureBoot(spec, kit)
}

// SuitsSecureBoot says why a kit cannot be installed for firmware that starts only
// signed programs, if the machine's file asks for that.
func (d *Depot) SuitsSecureBoot(spec *provision.Spec, kit *Kit) error {
	var err error
	switch spec.SecureBoot {
	case provision.ByShim:
		err = kit.Signed
	case provision.ByOwner:
		if err = kit.NoStub; err == nil {
			_, err = d.Owner()
		}
	}
	if err != nil {
		return fmt.Errorf("machine %s has \"secureBoot\": %q, and its disk could not be made bootable: %w", spec.MAC, spec.SecureBoot, err)
	}
	return nil
}
