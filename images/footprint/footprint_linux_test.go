package footprint

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestReleaseProgram holds that less of the program's file is in memory afterwards, and
// that the program still runs.
func TestReleaseProgram(t *testing.T) {
	before := fileKiB(t)
	ReleaseProgram()
	if after := fileKiB(t); after >= before {
		t.Errorf("%d KiB of files are in memory, and were %d KiB before", after, before)
	}
	Release()
}

func fileKiB(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`RssFile:\s*(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Fatal("this kernel tells no RssFile")
	}
	kib, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib
}
