package rescue

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"cloudlets/images/bytesize"
	"cloudlets/images/pack"
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
	text, err := os.ReadFile(meminfo)
	if err != nil {
		return fmt.Errorf("see how much memory is left: %w", err)
	}
	available, total := field(string(text), "MemAvailable:"), field(string(text), "MemTotal:")
	if needs+toWork <= available {
		return nil
	}
	return fmt.Errorf("%s takes %s of memory unpacked, and a rescue %s to work: this machine has %s left of %s: order the rescue with a smaller image, `cloudlets boot NAME --once rescue IMAGE`",
		image, bytesize.Decimal(needs), bytesize.Decimal(toWork), bytesize.Decimal(available), bytesize.Decimal(total))
}

// field is a value of /proc/meminfo in bytes. The file counts in KiB.
func field(meminfo, name string) int64 {
	for line := range strings.Lines(meminfo) {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == name {
			n, _ := strconv.ParseInt(words[1], 10, 64)
			return n << 10
		}
	}
	return 0
}
