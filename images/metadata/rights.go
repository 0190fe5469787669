package metadata

import (
	"os"
	"slices"
	"strings"
)

// privileged tells whether this process can set whatever a record says: it is
// root, and of no user namespace but the first.
func privileged() bool {
	if os.Geteuid() != 0 || allLimited {
		return false
	}
	ids, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || slices.Equal(strings.Fields(string(ids)), []string{"0", "0", "4294967295"})
}

// ownID is the owner of what this process makes.
func ownID() uint32 { return uint32(os.Geteuid()) }
