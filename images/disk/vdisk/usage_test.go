//go:build linux

package vdisk

import (
	"testing"

	"golang.org/x/sys/unix"
)

// usage returns how many bytes of a disk a file takes.
func usage(t *testing.T, name string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}
