package rescue

import (
	"fmt"

	"cloudlets/images/bytesize"
	"cloudlets/images/pack"
	"cloudlets/provision/hardware"
)

// Each file in memory takes whole pages, and the kernel's notes about it. toWork is for
// the agent and for what a person does.
const (
	perFile = 4096 + 1024
	toWork  = 128 << 20
)

// Needs is how many bytes of memory an image takes unpacked.
func Needs(info pack.Info) int64 { return info.Bytes + int64(info.Entries)*perFile }

// CheckMemory refuses an image that does not fit into the memory that is left. meminfo is
// /proc/meminfo.
func CheckMemory(image string, needs int64, meminfo string) error {
	available, total, err := hardware.Memory(meminfo)
	if err != nil {
		return err
	}
	if needs+toWork <= available {
		return nil
	}
	return fmt.Errorf("%s takes %s of memory unpacked, and a rescue %s to work: this machine has %s left of %s: order the rescue with a smaller image, `cloudlets boot NAME --once rescue IMAGE`",
		image, bytesize.Decimal(needs), bytesize.Decimal(toWork), bytesize.Decimal(available), bytesize.Decimal(total))
}
