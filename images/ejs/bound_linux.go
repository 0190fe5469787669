package ejs

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// bound limits the memory that the process may allocate from now on. The Go
// runtime reserves address space that it never uses, so the limit is relative
// to what is reserved at the start.
func bound(memory int64) error {
	size, err := addressSpace()
	if err != nil {
		return err
	}
	limit := uint64(size + memory)
	if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("limit the memory of the template process: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("disable core files of the template process: %w", err)
	}
	debug.SetMemoryLimit(memory * 3 / 4)
	debug.SetMaxStack(maxStack)
	return nil
}

// addressSpace returns the size of the process's address space in bytes.
func addressSpace() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("measure the template process: %w", err)
	}
	pages, _, _ := strings.Cut(string(text), " ")
	n, err := strconv.ParseInt(pages, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("measure the template process: %w", err)
	}
	return n * int64(os.Getpagesize()), nil
}
