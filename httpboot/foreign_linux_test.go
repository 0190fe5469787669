package httpboot

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/provision/depot"
	"cloudlets/testdata/needs"
)

// TestCurl: a client that is not Go's fetches boot files in a network of its
// own, whole, in parts, and after a break.
func TestCurl(t *testing.T) {
	tool(t, "curl", "curl")
	b := newBed(t, nil)
	kit := b.kit(node1)
	space := newNamespace(t)
	base := "http://" + space.serve(t, b.Handler())
	out := filepath.Join(t.TempDir(), "out")
	at := base + depot.FilePath(kit.Kernel.Digest, "vmlinuz")

	space.run(t, "curl", "-sSf", "--max-redirs", "0", "-o", out, at)
	wantFile(t, out, kernel(0x20c, 1))
	space.run(t, "curl", "-sSf", "-r", "100-199", "-o", out, at)
	wantFile(t, out, kernel(0x20c, 1)[100:200])
	write(t, out, []byte(kernel(0x20c, 1)[:1000]))
	space.run(t, "curl", "-sSf", "-C", "-", "-o", out, at)
	wantFile(t, out, kernel(0x20c, 1))

	head := space.run(t, "curl", "-sSfI", base+"//loader//snponly.efi")
	for _, line := range []string{"HTTP/1.1 200 OK", "Content-Type: application/efi", "Content-Length: 619", "Accept-Ranges: bytes"} {
		if !strings.Contains(head, line) {
			t.Errorf("want %q in\n%s", line, head)
		}
	}
	if script := space.run(t, "curl", "-sSf", base+"/boot/"+string(node1)+"/script"); !strings.HasPrefix(script, "#!ipxe\n") {
		t.Errorf("the script is\n%s", script)
	}
}

func wantFile(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile(name)
	must(t, err)
	if string(got) != want {
		t.Errorf("curl has %d bytes, want %d, or others", len(got), len(want))
	}
}

// tool finds a foreign program, or fails the test naming what to install.
func tool(t *testing.T, name, debianPackage string) {
	t.Helper()
	needs.Tool(t, name, debianPackage)
}

// namespace is a network of the test's own.
type namespace string

func newNamespace(t *testing.T) namespace {
	t.Helper()
	needs.Root(t)
	tool(t, "ip", "iproute2")
	n := namespace(fmt.Sprintf("httpboot-%d", os.Getpid()))
	command(t, "ip", "netns", "add", string(n))
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "delete", string(n)).CombinedOutput(); err != nil {
			t.Errorf("delete the namespace %s: %v: %s", n, err, out)
		}
	})
	command(t, "ip", "-n", string(n), "link", "set", "lo", "up")
	command(t, "ip", "-n", string(n), "addr", "add", "10.77.0.1/24", "dev", "lo")
	return n
}

func (n namespace) run(t *testing.T, argv ...string) string {
	t.Helper()
	return command(t, append([]string{"ip", "netns", "exec", string(n)}, argv...)...)
}

// serve serves inside the namespace, until the test ends: a socket belongs to
// the network in which it was made.
func (n namespace) serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	made := make(chan net.Listener, 1)
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		l, err := n.listen()
		failed <- err
		made <- l
	}()
	must(t, <-failed)
	l := <-made
	server := &http.Server{Handler: handler}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-ended })
	return l.Addr().String()
}

func (n namespace) listen() (net.Listener, error) {
	f, err := os.Open("/run/netns/" + string(n))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	return net.Listen("tcp4", "10.77.0.1:0")
}

func command(t *testing.T, argv ...string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}
