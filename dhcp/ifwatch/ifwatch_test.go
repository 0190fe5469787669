package ifwatch

import (
	"context"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/testdata/needs"
)

// patience ends a test that hangs.
const patience = 30 * time.Second

func wait(t *testing.T, told <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-told:
	case <-time.After(patience):
		t.Fatalf("no signal %s", what)
	}
}

// ownNamespace gives the test's thread a network namespace. The thread ends with the
// test, and the namespace with it.
func ownNamespace(t *testing.T) {
	t.Helper()
	needs.Root(t)
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(needs.Tool(t, "ip", "iproute2"), args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

// run runs a watcher until the test ends.
func run(t *testing.T, w *Watcher) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	})
}

// TestKernelTellsOfChanges, of interfaces and of addresses, and of those before Run too.
func TestKernelTellsOfChanges(t *testing.T) {
	ownNamespace(t)
	w := Open()
	w.again = time.Hour
	told, stop := w.Subscribe()
	defer stop()
	wait(t, told, "at the beginning")
	ip(t, "link", "add", "br9", "type", "bridge")
	run(t, w)
	wait(t, told, "of an interface that was made before")
	for _, change := range [][]string{
		{"address", "add", "10.9.9.1/24", "dev", "br9"},
		{"address", "del", "10.9.9.1/24", "dev", "br9"},
		{"address", "add", "fd99::1/64", "dev", "br9", "nodad"},
		{"address", "del", "fd99::1/64", "dev", "br9"},
		{"link", "set", "br9", "name", "br8"},
		{"link", "del", "br8"},
	} {
		ip(t, change...)
		wait(t, told, "of "+change[0]+" "+change[1])
	}
}

// TestWithoutTheKernel: a watcher that cannot listen to it sends signals all the same.
func TestWithoutTheKernel(t *testing.T) {
	w := &Watcher{}
	told, stop := w.Subscribe()
	defer stop()
	run(t, w)
	for range 3 {
		wait(t, told, "without the kernel")
	}
}

// TestSignalDoesNotWait for a subscriber that is busy, and several are one for it.
func TestSignalDoesNotWait(t *testing.T) {
	var s Signal
	told, stop := s.Subscribe()
	s.Send()
	s.Send()
	wait(t, told, "of three")
	select {
	case <-told:
		t.Error("there is a second value")
	default:
	}
	stop()
	s.Send()
	if len(told) > 0 || len(s.subscribers) > 0 {
		t.Error("the subscription goes on after its end")
	}
}
