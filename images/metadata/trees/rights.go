package trees

import (
	"os"
	"slices"
	"strings"
)

// privileged reports whether this process can set everything that a record may
// contain. For that it must be root in the initial user namespace.
func privileged() bool {
	if os.Geteuid() != 0 || allLimited {
		return false
	}
	ids, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || slices.Equal(strings.Fields(string(ids)), []string{"0", "0", "4294967295"})
}

// ownID is the user number of the files that this process makes.
func ownID() uint32 { return uint32(os.Geteuid()) }
