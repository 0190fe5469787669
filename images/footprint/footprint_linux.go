package footprint

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ReleaseProgram gives back the pages of the program's own file that its start needed:
// they are most of the memory of a verb that keeps little else. The kernel maps those that
// are needed again from its cache. Without /proc they stay.
func ReleaseProgram() {
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	name, err := os.Executable()
	if err != nil {
		return
	}
	var from, to uintptr // of a mapping of the program that cannot be written to
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		line := lines.Text()
		if own, is := strings.CutPrefix(line, "Anonymous:"); is {
			if from != 0 && strings.TrimSpace(own) == "0 kB" { // what was written, as by a loader that relocates, would be lost
				ReleaseMapping(from, to-from)
			}
			from, to = 0, 0
			continue
		}
		var begin, end uintptr
		var rights string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &begin, &end, &rights); n < 3 {
			continue
		}
		if from, to = begin, end; rights[1] != '-' || !strings.HasSuffix(line, " "+name) {
			from, to = 0, 0
		}
	}
}

// ReleaseMapping gives back the pages of a file that is mapped from an address on, for
// so many bytes. The caller keeps it mapped meanwhile, and does not write to it by the
// mapping.
func ReleaseMapping(from, size uintptr) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, size, unix.MADV_DONTNEED) // it is advice
}
