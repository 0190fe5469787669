//go:build linux

package daemon

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestListenSocketTakesOnlyDeadSockets: what is not a socket, or has a listener,
// stays as it is.
func TestListenSocketTakesOnlyDeadSockets(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(t *testing.T, name string)
		want string // of the error; "" is success
	}{
		{"nothing", func(*testing.T, string) {}, ""},
		{"a dead daemon's socket", func(t *testing.T, name string) {
			l := listenUnix(t, name)
			l.SetUnlinkOnClose(false)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"a file", func(t *testing.T, name string) {
			if err := os.WriteFile(name, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is there already and is not a socket: give another name with --socket"},
		{"an empty folder", func(t *testing.T, name string) {
			if err := os.Mkdir(name, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is there already and is not a socket"},
		{"a link to a dead socket", func(t *testing.T, name string) {
			if err := os.Symlink("elsewhere", name); err != nil {
				t.Fatal(err)
			}
		}, "is there already and is not a socket"},
		{"a living daemon's socket", func(t *testing.T, name string) {
			l := listenUnix(t, name)
			t.Cleanup(func() { _ = l.Close() })
		}, "a daemon answers on"},
		{"a socket for datagrams", func(t *testing.T, name string) {
			conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
		}, "find out whether a daemon answers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "s")
			test.make(t, name)
			before, _ := os.Lstat(name)
			l, err := listenSocket(name)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if after, err := os.Lstat(name); err != nil || !os.SameFile(before, after) {
				t.Errorf("it was taken away: %v", err)
			}
		})
	}
}

func listenUnix(t *testing.T, name string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestServerAddr(t *testing.T) {
	own := netip.MustParseAddr("10.0.0.1")
	for listen, want := range map[string]string{
		":69": "10.0.0.1", "0.0.0.0:69": "10.0.0.1", "10.0.0.5:69": "10.0.0.5", "off": "10.0.0.1",
	} {
		if got := serverAddr(own, listen); got.String() != want {
			t.Errorf("machines find what listens on %s at %s, want %s", listen, got, want)
		}
	}
}

// TestAddressesOfIPv6 are in brackets where they stand in a URL or with a port.
func TestAddressesOfIPv6(t *testing.T) {
	v6 := netip.MustParseAddr("fd77::1")
	for _, test := range []struct{ listen, at, family, url string }{
		{":80", "[fd77::1]:80", "tcp6", "http://[fd77::1]"},
		{":8080", "[fd77::1]:8080", "tcp6", "http://[fd77::1]:8080"},
		{"0.0.0.0:80", "[fd77::1]:80", "tcp6", "http://[fd77::1]"},
		{"[::]:80", "[::]:80", "tcp6", "http://[fd77::1]"},
		{"10.0.0.1:80", "10.0.0.1:80", "tcp4", "http://10.0.0.1"},
	} {
		at := OnInterface(v6, test.listen)
		if got := FamilyOf("tcp", at); at != test.at || got != test.family {
			t.Errorf("%s: listens at %s by %s, want %s by %s", test.listen, at, got, test.at, test.family)
		}
		if got := baseURL("http", v6, test.listen); got != test.url {
			t.Errorf("%s: the URL is %s, want %s", test.listen, got, test.url)
		}
	}
}
