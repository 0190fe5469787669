package hardware

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory returns how many bytes of memory are left to programs, and how many there are.
// meminfo is /proc/meminfo (proc_meminfo(5)).
func Memory(meminfo string) (available, total int64, err error) {
	text, err := os.ReadFile(meminfo)
	if err != nil {
		return 0, 0, fmt.Errorf("see how much memory is left: %w", err)
	}
	return memoryField(string(text), "MemAvailable:"), memoryField(string(text), "MemTotal:"), nil
}

// memoryField is a value of the file in bytes. The file counts in KiB.
func memoryField(meminfo, name string) int64 {
	for line := range strings.Lines(meminfo) {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == name {
			n, _ := strconv.ParseInt(words[1], 10, 64)
			return n << 10
		}
	}
	return 0
}
