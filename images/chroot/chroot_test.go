//go:build linux

package chroot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for an event that must come.
const patience = 30 * time.Second

func TestExitCodes(t *testing.T) {
	root := busybox(t)
	write(t, root+"/bin/notes", "just text\n", 0o644)
	write(t, root+"/bin/orphan", "#!/no/such/interpreter\n", 0o755)
	write(t, root+"/bin/foreign", "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xf3\x00", 0o755)
	for name, c := range map[string]struct {
		command []string
		exit    int
		problem string
	}{
		"success":             {script("exit 0"), 0, ""},
		"failure":             {script("exit 7"), 7, ""},
		"found in PATH":       {[]string{"test", "a", "=", "b"}, 1, ""},
		"ended by a signal":   {script("kill -TERM $$"), 128 + 15, ""},
		"not there":           {[]string{"/bin/absent"}, ExitNotFound, "/bin/absent: "},
		"not in PATH":         {[]string{"absent"}, ExitNotFound, "absent: the image has no such command in /usr/local/sbin:"},
		"in PATH but no more": {[]string{"notes"}, ExitNotFound, "notes: the image has no such command"},
		"not executable":      {[]string{"/bin/notes"}, ExitNotExecutable, "permission denied"},
		"a directory":         {[]string{"/bin"}, ExitNotExecutable, "permission denied"},
		"no interpreter":      {[]string{"orphan"}, ExitNotFound, "the interpreter or loader that it needs"},
		"other architecture":  {[]string{"foreign"}, ExitNotExecutable, "is it for another architecture?"},
	} {
		t.Run(name, func(t *testing.T) {
			o := enterImage(t, Spec{Dir: root, Command: c.command})
			if o.exit != c.exit || (o.err == nil) != (c.problem == "") {
				t.Errorf("exit %d, error %v, standard error %q; want exit %d", o.exit, o.err, o.stderr, c.exit)
			}
			if o.err != nil && !strings.Contains(o.err.Error(), c.problem) {
				t.Errorf("error %q, want %q in it", o.err, c.problem)
			}
		})
	}
}

func TestNothingToEnter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "", 0o644)
	for dir, problem := range map[string]string{"/no/such/place": "no such file", file: "not a directory"} {
		if o := enterImage(t, sh(dir, "true")); o.err == nil || !strings.Contains(o.err.Error(), problem) {
			t.Errorf("%s: error %v, want %q", dir, o.err, problem)
		}
	}
	if o := enterImage(t, Spec{Dir: t.TempDir()}); o.err == nil {
		t.Error("no command: no error")
	}
}

// TestWorld checks that everything that programs may expect exists inside, and
// that nothing of the host is visible.
func TestWorld(t *testing.T) {
	t.Setenv("SECRET_OF_THE_CALLER", "x")
	root := busybox(t)
	for name, c := range map[string]struct{ script, want string }{
		"host name":         {"hostname", "box\n"},
		"process 1":         {"echo $PPID", "1\n"},
		"own processes":     {"ls /proc | grep -c '^[0-9]' | xargs test 8 -gt && echo few", "few\n"},
		"user":              {"id -u; pwd; echo $HOME", "0\n/\n/root\n"},
		"environment":       {"env | grep -c SECRET; cat /proc/1/environ", "0\n"},
		"/dev/null":         {"echo x > /dev/null; cat /dev/null", ""},
		"standard files":    {"echo x > /dev/stdout; test -e /dev/fd/0 && echo y", "x\ny\n"},
		"random":            {"dd if=/dev/urandom bs=1 count=9 2>/dev/null | wc -c", "9\n"},
		"terminals":         {"ls /dev/pts; test -c /dev/ptmx && echo y", "ptmx\ny\n"},
		"shared memory":     {"echo x > /dev/shm/x && cat /dev/shm/x", "x\n"},
		"no disks":          {"find /dev -type b", ""},
		"/sys to be read":   {"test -d /sys/class/net && ! touch /sys/kernel/mm/ksm/run 2>/dev/null && mkdir /sys/x 2>&1", "mkdir: can't create directory '/sys/x': Read-only file system\n"},
		"no way up":         {"cd /../../.. && ls", "bin\ndev\netc\nlib\nlib64\nproc\nroot\nrun\nsys\ntmp\n"},
		"no mounts of host": {"cut -d ' ' -f 5 /proc/self/mountinfo | sort", "/\n/dev\n/dev/pts\n/dev/shm\n/proc\n/sys\n"},
		"umask":             {"umask", "0022\n"},
	} {
		t.Run(name, func(t *testing.T) {
			enterImage(t, sh(root, c.script)).want(t, exitOf(c.script), c.want)
		})
	}
}

// exitOf is 1 for the scripts that end with the failure that they show.
func exitOf(script string) int {
	if strings.Contains(script, "/sys/x") {
		return 1
	}
	return 0
}

func TestEnvironment(t *testing.T) {
	t.Setenv("TERM", "vt52")
	spec := sh(busybox(t), "echo $TERM $A $B")
	spec.Env = Environment(map[string]string{"A": "entry", "B": "entry"}, map[string]string{"B": "\xff user"})
	enterImage(t, spec).want(t, 0, "vt52 entry \xff user\n")
}

func TestThrowAwayLayer(t *testing.T) {
	root := busybox(t)
	write(t, root+"/etc/motd", "before\n", 0o644)
	if err := os.Chmod(root, 0o711); err != nil {
		t.Fatal(err)
	}
	before := listing(t, root)
	enterImage(t, sh(root, "echo after > /etc/motd; rm -r /tmp; mkdir /tmp /new; chown 5:5 /root; stat -c %a /; cat /etc/motd")).want(t, 0, "711\nafter\n")
	if after := listing(t, root); after != before {
		t.Errorf("the image was changed:\n%s\nwas\n%s", after, before)
	}
}

func TestWrite(t *testing.T) {
	root := busybox(t)
	write(t, root+"/etc/resolv.conf", "nameserver 192.0.2.1\n", 0o644)
	spec := sh(root, "echo after > /etc/motd; echo x > /run/x; grep -c 192.0.2.1 /etc/resolv.conf; ls /run")
	spec.Write = true
	enterImage(t, spec).want(t, 0, "0\nx\n")
	if got := read(t, root+"/etc/motd"); got != "after\n" {
		t.Errorf("what was written is %q", got)
	}
	if got := read(t, root+"/etc/resolv.conf"); got != "nameserver 192.0.2.1\n" {
		t.Errorf("the image's resolver is now %q", got)
	}
	for _, dir := range []string{"run", "proc", "sys", "dev"} {
		if entries, err := os.ReadDir(root + "/" + dir); err != nil || len(entries) > 0 {
			t.Errorf("/%s of the image has %v (%v), want nothing", dir, entries, err)
		}
	}
}

// TestResolver checks that the host's resolver works inside, whatever the image
// has at its path, and that nothing outside is changed.
func TestResolver(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, outside, "precious\n", 0o644)
	host := read(t, "/etc/resolv.conf")
	for name, prepare := range map[string]func(file string) error{
		"absent":               func(string) error { return nil },
		"a file":               func(file string) error { return os.WriteFile(file, []byte("nameserver 192.0.2.1\n"), 0o644) },
		"a link to nothing":    func(file string) error { return os.Symlink("../run/systemd/resolve/stub-resolv.conf", file) },
		"an absolute link":     func(file string) error { return os.Symlink(outside, file) },
		"a link that climbs":   func(file string) error { return os.Symlink("../../../../../../../../.."+outside, file) },
		"a pipe":               func(file string) error { return unix.Mkfifo(file, 0o644) },
		"a device":             func(file string) error { return unix.Mknod(file, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 7))) },
		"a link to the kernel": func(file string) error { return os.Symlink("/proc/sys/kernel/hostname", file) },
	} {
		t.Run(name, func(t *testing.T) {
			root := busybox(t)
			if err := prepare(root + "/etc/resolv.conf"); err != nil {
				t.Fatal(err)
			}
			before := listing(t, root)
			enterImage(t, sh(root, "cat /etc/resolv.conf")).want(t, 0, host)
			spec := sh(root, "true")
			spec.Write = true
			enterImage(t, spec).want(t, 0, "")
			if after := listing(t, root); after != before {
				t.Errorf("the image was changed:\n%s\nwas\n%s", after, before)
			}
		})
	}
	if got := read(t, outside); got != "precious\n" {
		t.Errorf("a file outside is now %q", got)
	}
	spec := sh(busybox(t), "cat /etc/resolv.conf")
	if err := os.Symlink("../run/systemd/resolve/stub-resolv.conf", spec.Dir+"/etc/resolv.conf"); err != nil {
		t.Fatal(err)
	}
	spec.Write = true
	enterImage(t, spec).want(t, 0, host)
}

// TestHostileMountPoints checks that a mount point which is a link to another
// place is refused.
func TestHostileMountPoints(t *testing.T) {
	for _, name := range []string{"/proc", "/sys", "/dev"} {
		root := busybox(t)
		if err := errors.Join(os.Remove(root+name), os.Symlink("/etc", root+name)); err != nil {
			t.Fatal(err)
		}
		if o := enterImage(t, sh(root, "true")); o.err == nil || !strings.Contains(o.err.Error(), name+" of the image is not a directory") {
			t.Errorf("%s is a link: error %v", name, o.err)
		}
	}
}

func TestMissingMountPoints(t *testing.T) {
	root := busybox(t)
	for _, name := range []string{"/proc", "/sys", "/dev", "/run", "/etc"} {
		if err := os.Remove(root + name); err != nil {
			t.Fatal(err)
		}
	}
	enterImage(t, sh(root, "ls / && echo x > /dev/null")).want(t, 0, "bin\ndev\nlib\nlib64\nproc\nroot\nsys\ntmp\n")
}

// TestAwkwardPath uses a path with characters that are special in mount
// options, and with bytes that are not UTF-8.
func TestAwkwardPath(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a,b:c\\d \"\xff")
	if err := os.Rename(busybox(t), root); err != nil {
		t.Fatal(err)
	}
	spec := sh(root, "hostname")
	spec.Hostname = filepath.Base(root)
	enterImage(t, spec).want(t, 0, "a-b-c-d---\n")
}

func TestChecks(t *testing.T) {
	root := busybox(t)
	spec := sh(root, "echo entered")
	spec.Checks = []string{"test -d /proc/1", "test $HOME = /root"}
	enterImage(t, spec).want(t, 0, "entered\n")
	spec.Checks = []string{"true", "echo out; echo the database is not there >&2; exit 3", "echo never"}
	o := enterImage(t, spec)
	if !errors.Is(o.err, ErrCheck) || o.stdout != "" {
		t.Fatalf("error %v, standard output %q; want ErrCheck and nothing", o.err, o.stdout)
	}
	for _, want := range []string{"exit 3", "exit code 3", "out\nthe database is not there"} {
		if !strings.Contains(o.err.Error(), want) {
			t.Errorf("error %q, want %q in it", o.err, want)
		}
	}
	spec.Checks = []string{"dd if=/dev/zero bs=1024 count=64 2>/dev/null; exit 1"}
	if o := enterImage(t, spec); !errors.Is(o.err, ErrCheck) || len(o.err.Error()) > 2*maxOutput {
		t.Errorf("64 KiB of output make an error of %d bytes", len(o.err.Error()))
	}
}

// TestNothingIsLeft checks that orphans end with the command, and that no mount
// is visible outside.
func TestNothingIsLeft(t *testing.T) {
	root := busybox(t)
	cmd := program(t, alone{Dir: root, Command: script("(sleep 1000 &) ; (setsid sleep 1000 &); sh -c 'exit 3' & echo done; exit 5")})
	out, err := cmd.Output() // waits until all processes with this standard output have ended
	if cmd.ProcessState.ExitCode() != 5 || string(out) != "done\n" {
		t.Errorf("exit %d, %q, %v", cmd.ProcessState.ExitCode(), out, err)
	}
	noMounts(t, root)
	if entries, err := os.ReadDir(root + "/proc"); err != nil || len(entries) > 0 {
		t.Errorf("%v in the image's /proc, %v", entries, err)
	}
}

// TestOrphansAreBuried checks that process 1 reaps dead processes.
func TestOrphansAreBuried(t *testing.T) {
	enterImage(t, sh(busybox(t), `
		i=0; while test $i -lt 20; do (sh -c 'exit 0' &); i=$((i+1)); done
		while ps -o stat | grep -q Z; do sleep 0.05; done; echo none`)).want(t, 0, "none\n")
}

// TestKilled checks that everything inside ends when the verb is killed.
func TestKilled(t *testing.T) {
	for _, user := range []bool{false, true} {
		root := busybox(t)
		what := alone{Dir: root, Command: script("(setsid sleep 1000 &); echo up; sleep 1000")}
		cmd := program(t, what)
		if user {
			give(t, root, nobody)
			cmd = asUser(t, what)
		}
		out, started := started(t, cmd)
		if !strings.HasPrefix(started, "up\n") {
			t.Fatalf("it says %q", started)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, out); err != nil { // ends when all processes with the pipe have ended
			t.Errorf("user %v: something runs on: %v", user, err)
		}
		_ = cmd.Wait() // it was killed
		noMounts(t, root)
	}
}

// started starts a command and waits for its first output.
func started(t *testing.T, cmd *exec.Cmd) (out *os.File, words string) {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	defer in.Close()
	if err := out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatalf("nothing is said: %v", err)
	}
	return out, string(buf[:n])
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	read, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer in.Close()
	why := errors.New("enough")
	go func() {
		_, _ = read.Read(make([]byte, 1))
		cancel(why)
	}()
	spec := sh(busybox(t), "echo up; sleep 1000")
	spec.Stdout, spec.Env, spec.Child = in, Environment(), []string{"test", childRole}
	if exit, err := Run(ctx, spec); !errors.Is(err, why) {
		t.Errorf("exit %d, error %v; want the context's cause", exit, err)
	}
}

func TestSignals(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGUSR1, unix.SIGHUP, unix.SIGINT} {
		cmd := program(t, alone{Dir: busybox(t), Command: script(fmt.Sprintf(
			"trap 'echo got it; exit 9' %d; echo up; while true; do sleep 0.01; done", int(sig)))})
		// Without a terminal, as a service has it.
		cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
		out, _ := started(t, cmd)
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		words, err := io.ReadAll(out)
		_ = cmd.Wait() // its exit code says all
		if string(words) != "got it\n" || cmd.ProcessState.ExitCode() != 9 {
			t.Errorf("%v: exit %d, %q, %v", sig, cmd.ProcessState.ExitCode(), words, err)
		}
	}
	cmd := program(t, alone{Dir: busybox(t), Command: script("echo up; sleep 1000 & wait")})
	out, _ := started(t, cmd)
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(out); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // its exit code says all
	if got := cmd.ProcessState.ExitCode(); got != 128+15 {
		t.Errorf("exit %d of a command that SIGTERM ended", got)
	}
}

// TestNoFilesLeakIn checks that the command does not inherit open files of the
// caller, which would be a way out.
func TestNoFilesLeakIn(t *testing.T) {
	host, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	cmd := program(t, alone{Dir: busybox(t), Command: []string{"ls", "/proc/self/fd"}})
	cmd.ExtraFiles = []*os.File{host, host, host, host, host}
	out, err := cmd.CombinedOutput()
	if string(out) != "0\n1\n2\n3\n" || err != nil { // 3 is what ls reads
		t.Errorf("open files: %q, %v", out, err)
	}
}

// listing describes everything in a tree except times.
func listing(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		link, _ := os.Readlink(p) // "" if it is not a link
		fmt.Fprintf(&b, "%s %o %d:%d %d %s\n", strings.TrimPrefix(p, root), st.Mode, st.Uid, st.Gid, st.Ino, link)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func script(text string) []string { return []string{"/bin/sh", "-c", text} }
