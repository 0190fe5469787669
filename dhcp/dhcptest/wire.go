package dhcptest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/testdata/needs"
)

// Wire is two network namespaces with a cable between them: the server's end
// is eth0 with 10.99.0.1/24, the client's end is eth0 without an address.
type Wire struct{ Server, Client string }

// NewWire makes the namespaces, for as long as the test runs. It needs root.
func NewWire(t *testing.T) Wire {
	t.Helper()
	needs.Root(t)
	Need(t, "ip", "iproute2")
	name := strings.ToLower(strings.ReplaceAll(t.Name(), "/", ""))
	id := fmt.Sprintf("dhcp%d%s", os.Getpid(), name[len("test"):min(len(name), 12)])
	w := Wire{id + "s", id + "c"}
	for _, ns := range []string{w.Server, w.Client} {
		Run(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { Run(t, "ip", "netns", "del", ns) })
		Run(t, "ip", "-n", ns, "link", "set", "lo", "up")
	}
	w.Connect(t)
	return w
}

// Connect makes the cable, whose ends are up.
func (w Wire) Connect(t *testing.T) {
	t.Helper()
	Run(t, "ip", "-n", w.Server, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", w.Client)
	Run(t, "ip", "-n", w.Server, "addr", "add", "10.99.0.1/24", "dev", "eth0")
	Run(t, "ip", "-n", w.Server, "link", "set", "eth0", "up")
	Run(t, "ip", "-n", w.Client, "link", "set", "eth0", "up")
}

// Need fails the test if a foreign program is not installed.
func Need(t *testing.T, program, debianPackage string) {
	t.Helper()
	needs.Tool(t, program, debianPackage)
}

// Run runs a program, and fails the test if the program fails.
func Run(t *testing.T, name string, args ...string) string {
	t.Helper()
	// Not the test's context: clean-up runs after that has ended.
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// In runs a program in a namespace and returns what it printed.
func In(t *testing.T, ns string, args ...string) string {
	t.Helper()
	return Run(t, "ip", append([]string{"netns", "exec", ns}, args...)...)
}

// Inside calls f on a thread that is in a namespace meanwhile.
func Inside(ns string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread goes home at the end. If it ended instead, the kernel would kill the
		// programs that were once started on it and shall not outlive the test
		// (PR_SET_PDEATHSIG(2const) is about threads).
		runtime.LockOSThread()
		done <- within(ns, f)
	}()
	return <-done
}

func within(ns string, f func() error) (err error) {
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	file, err := os.Open(filepath.Join("/run/netns", ns))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s (it takes root): %w", ns, err)
	}
	defer func() {
		back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
		if back == nil {
			runtime.UnlockOSThread()
		}
		err = errors.Join(err, back)
	}()
	return f()
}

// Patience ends a test that hangs; nothing waits for it otherwise.
const Patience = 30 * time.Second
