package disktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// ownMounts is the variable of the environment by which a test program knows that it has
// mounts of its own.
const ownMounts = "CLOUDLETS_TEST_OWN_MOUNTS"

// Main runs the tests of a package, for its TestMain, in a namespace of mounts that no other
// program sees. Otherwise a program that another package's tests start at that moment in a
// namespace of its own has a copy of what is mounted here, and keeps it in use after it was
// unmounted. Without root's rights the tests run as they are.
func Main(m *testing.M) int {
	if os.Geteuid() != 0 {
		return m.Run()
	}
	if os.Getenv(ownMounts) != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			fmt.Fprintf(os.Stderr, "keep mounts from others: %v\n", err)
			return 1
		}
		return m.Run()
	}
	runtime.LockOSThread() // the signal comes when the thread ends that started the other process
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), ownMounts+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	err := cmd.Run()
	if ended, is := errors.AsType[*exec.ExitError](err); is {
		return max(ended.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "run the tests with mounts of their own: %v\n", err)
		return 1
	}
	return 0
}
