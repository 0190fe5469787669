package uplink

import (
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace calls f on a thread that is in a network namespace.
func inNamespace(t *testing.T, ns string, f func()) {
	t.Helper()
	file, err := os.Open("/run/netns/" + ns)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends in its namespace
		err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// ip runs ip in the client's namespace.
func (c cable) ip(t *testing.T, args string) string {
	t.Helper()
	return run(t, "ip", append([]string{"-n", c.client}, strings.Fields(args)...)...)
}

// TestRestore: what was taken from an interface comes back, under a new name too, for an hour
// and behind all else; and nothing is changed while a server can be reached.
func TestRestore(t *testing.T) {
	// It runs beside no other test: with the threads that end in a namespace, the kernel
	// would end the programs that others have started on them.
	c := layCable(t)
	servers := []netip.Addr{netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.98.0.7")}
	c.ip(t, "addr add 10.99.0.5/24 dev eth0")
	c.ip(t, "link set eth0 mtu 1400 up")
	c.ip(t, "route add default via 10.99.0.1")
	restore := func(want bool) func() {
		return func() { t.Errorf("not remembered, want a change: %t", want) }
	}
	inNamespace(t, c.client, func() {
		r, err := Remember("eth0")
		if err != nil {
			t.Error(err)
			return
		}
		restore = func(want bool) func() {
			return func() {
				if changed, err := r.Restore(servers); err != nil || changed != want {
					t.Errorf("it was changed: %t (%v), want %t", changed, err, want)
				}
			}
		}
	})

	before := c.ip(t, "addr show") + c.routes(t)
	inNamespace(t, c.client, restore(false))
	c.ip(t, "addr del 10.99.0.5/24 dev eth0")
	c.ip(t, "addr add 10.99.0.77/24 dev eth0") // another program's address leads there, too
	inNamespace(t, c.client, restore(false))
	if now := c.ip(t, "addr show"); strings.Contains(now, "10.99.0.5/") {
		t.Errorf("while a server can be reached the address was added again:\n%s", now)
	}

	c.ip(t, "addr flush dev eth0")
	c.ip(t, "link set eth0 down")
	c.ip(t, "link set eth0 name enp1s0 mtu 1500")
	inNamespace(t, c.client, restore(true))
	now := c.ip(t, "addr show")
	for _, want := range []string{"mtu 1400", "inet 10.99.0.5/24", "valid_lft 3600sec"} {
		if !strings.Contains(now, want) {
			t.Errorf("there is no %q; before:\n%s\nnow:\n%s", want, before, now)
		}
	}
	if routes := c.routes(t); !strings.Contains(routes, "default via 10.99.0.1 dev enp1s0 metric 1073741824") {
		t.Errorf("the routes are\n%s", routes)
	}
	for _, server := range []string{"10.99.0.1", "10.98.0.7 via 10.99.0.1"} {
		to, _, _ := strings.Cut(server, " ")
		if got := c.ip(t, "route get "+to); !strings.Contains(got, server+" dev enp1s0 src 10.99.0.5") {
			t.Errorf("the server %s is reached by %s", to, got)
		}
	}
	inNamespace(t, c.client, restore(false))

}
