package running_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/imagetest"
	"cloudlets/provision/running"
	"cloudlets/testdata/needs"
)

// tree is an image with empty files.
func tree(t *testing.T, paths ...string) images.Tree {
	t.Helper()
	dir := t.TempDir()
	for _, path := range paths {
		imagetest.Must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o755), os.WriteFile(filepath.Join(dir, path), nil, 0o755))
	}
	opened, err := dirtree.Open(dir)
	imagetest.Must(t, err)
	return opened
}

func TestFiles(t *testing.T) {
	for name, test := range map[string]struct {
		image []string
		want  string // a file that starts the service
	}{
		"systemd":             {[]string{"/usr/lib/systemd/systemd", "/etc/rc2.d/README", "/bin/bash"}, "/etc/systemd/system/multi-user.target.wants/cloudlets-running.service"},
		"an older systemd":    {[]string{"/lib/systemd/systemd", "/usr/bin/curl"}, "/etc/systemd/system/cloudlets-running.service"},
		"OpenRC":              {[]string{"/sbin/openrc-run", "/usr/bin/wget"}, "/etc/runlevels/default/cloudlets-running"},
		"sysvinit":            {[]string{"/etc/rc2.d/S01ssh", "/usr/bin/perl"}, "/etc/rc2.d/S99cloudlets-running"},
		"runit":               {[]string{"/etc/runit/runsvdir/default/sshd/run", "/usr/bin/python3"}, "/etc/runit/runsvdir/default/cloudlets-running"},
		"one that cannot":     {[]string{"/sbin/init", "/bin/bash"}, ""},
		"one without clients": {[]string{"/usr/lib/systemd/systemd"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := running.Files(tree(t, test.image...), []string{"http://10.0.0.1/running/x/y"})
			if test.want == "" {
				if !errors.Is(err, running.ErrNoService) && !errors.Is(err, running.ErrNoClient) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, f := range files {
				found = found || f.Path == test.want
				if f.Path == "/etc/cloudlets/running" && (f.Mode != 0o600 || string(f.Content) != "http://10.0.0.1/running/x/y\n") {
					t.Errorf("the URLs are %o %q", f.Mode, f.Content)
				}
				if f.Type == images.Regular && strings.HasPrefix(string(f.Content), "#!/bin/sh") {
					if out, err := shell(t, "-n", string(f.Content)); err != nil {
						t.Errorf("%s: %v\n%s", f.Path, err, out)
					}
				}
			}
			if !found {
				t.Errorf("no %s in %v", test.want, files)
			}
		})
	}
}

// shell runs a script by a POSIX shell, as a file.
func shell(t *testing.T, flag, script string) (string, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(name, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("/bin/sh", flag, name).CombinedOutput()
	return string(out), err
}

// TestEachClient: whichever client the system has, the first server that answers is
// told once, with the uptime. A server that does not answer does not keep the others
// from it. That is so by IPv4 and by IPv6.
func TestEachClient(t *testing.T) {
	for _, test := range []struct{ client, program, pkg string }{
		{"curl", "/usr/bin/curl", "curl"}, {"wget", "/bin/busybox", "busybox"}, {"wget", "/usr/bin/wget", "wget"}, {"python3", "/usr/bin/python3", "python3-minimal"},
		{"perl", "/usr/bin/perl", "perl-base"}, {"bash", "/bin/bash", "bash"},
	} {
		for _, loopback := range []string{"127.0.0.1", "::1"} {
			t.Run(test.pkg+" to "+loopback, func(t *testing.T) {
				t.Parallel()
				needs.File(t, test.program, test.pkg)
				testClient(t, loopback, func(urls string) bool { return runWith(t, test.client, test.program, urls) })
			})
		}
	}
}

// testClient has a client tell servers at an address of the loopback interface. run returns
// whether the system is accepted by that.
func testClient(t *testing.T, loopback string, run func(urls string) bool) {
	t.Helper()
	const path = "/running/m/t"
	var calls atomic.Int32
	server := serve(t, loopback, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path || r.FormValue("uptime") == "" {
			t.Errorf("called %s", r.URL)
		}
		if calls.Add(1) == 1 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	silent := serve(t, loopback, nil)
	silent.Close()
	accepted := run(silent.URL + path + "\n" + server.URL + path + "\n")
	if n := calls.Load(); n != 2 || !accepted {
		t.Errorf("called %d times, accepted %t", n, accepted)
	}
	gone := serve(t, loopback, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "another system is", http.StatusGone)
	})
	if run(gone.URL + path + "\n") {
		t.Error("a system that is not the machine's any more was accepted")
	}
}

// serve serves at an address until the test's end.
func serve(t *testing.T, address string, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// TestSecretStaysOffArguments: other users see what a program was started with, and the URL
// has a secret in it.
func TestSecretStaysOffArguments(t *testing.T) {
	for client, version := range map[string]string{"curl": "curl 8", "wget": "GNU Wget 1.21", "python3": "", "perl": "", "bash": ""} {
		t.Run(client, func(t *testing.T) {
			dir := t.TempDir()
			seen := filepath.Join(dir, "seen")
			program := filepath.Join(dir, client)
			// It accepts the call in each client's way.
			fake := "#!/bin/sh\necho \"$@\" >>" + seen + "\ncase $1 in --version) echo " + version + "; exit ;; esac\ncase " + client + " in curl) echo 204 ;; wget) echo HTTP/1.1 204 ;; esac\n"
			imagetest.Must(t, os.WriteFile(program, []byte(fake), 0o755))
			if !runWith(t, client, program, "http://10.0.0.1/running/m/secret\n") {
				t.Error("the call failed")
			}
			if got, err := os.ReadFile(seen); err != nil || len(got) == 0 || strings.Contains(string(got), "secret") {
				t.Errorf("%s was started with %s (%v)", client, got, err)
			}
		})
	}
}

// runWith runs the script where this client is the only one. It returns whether the system
// is accepted by that.
func runWith(t *testing.T, client, program, urls string) bool {
	t.Helper()
	dir := t.TempDir()
	for name, at := range map[string]string{client: program, "mkdir": needs.Tool(t, "mkdir", "coreutils"), "sleep": needs.Tool(t, "sleep", "coreutils"), "timeout": needs.Tool(t, "timeout", "coreutils")} {
		if err := os.Symlink(at, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := running.Files(tree(t, "/usr/lib/systemd/systemd", "/bin/bash"), nil)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "urls")
	if err := os.WriteFile(list, []byte(urls), 0o600); err != nil {
		t.Fatal(err)
	}
	text := string(files[0].Content)
	text = strings.Replace(text, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PATH="+dir, 1)
	text = strings.Replace(text, "urls=/etc/cloudlets/running", "urls="+list, 1)
	text = strings.ReplaceAll(text, "/run/cloudlets", filepath.Join(dir, "run"))
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if out, err := exec.CommandContext(ctx, "/bin/sh", script).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, err = os.Stat(filepath.Join(dir, "run/running"))
	return err == nil
}

// TestAlone: a system without a server makes the file by which its trial ends well.
func TestAlone(t *testing.T) {
	for name, test := range map[string]struct{ image, want string }{
		"systemd":  {"/usr/lib/systemd/systemd", "/etc/systemd/system/multi-user.target.wants/cloudlets-up.service"},
		"OpenRC":   {"/sbin/openrc-run", "/etc/runlevels/default/cloudlets-up"},
		"sysvinit": {"/etc/rc2.d/S01ssh", "/etc/rc3.d/S99cloudlets-up"},
		"runit":    {"/etc/runit/runsvdir/default/sshd/run", "/etc/runit/runsvdir/default/cloudlets-up"},
	} {
		files, err := running.Alone(tree(t, test.image))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range files {
			found = found || f.Path == test.want
			if f.Type == images.Regular && strings.HasPrefix(string(f.Content), "#!/bin/sh") {
				if out, err := shell(t, "-n", string(f.Content)); err != nil {
					t.Errorf("%s: %s: %v\n%s", name, f.Path, err, out)
				}
			}
		}
		if !found || !strings.Contains(string(files[0].Content), "/run/cloudlets/running") {
			t.Errorf("%s: no %s in %v", name, test.want, files)
		}
	}
	if _, err := running.Alone(tree(t, "/sbin/init")); !errors.Is(err, running.ErrNoService) {
		t.Errorf("an image of its own kind: %v", err)
	}
}
