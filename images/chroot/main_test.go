//go:build linux

package chroot

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/testdata/needs"
)

// The roles of the test binary besides running tests.
const (
	childRole = "chroot-child" // Child
	runRole   = "chroot-run"   // a program that calls Run as another user
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case childRole:
			if err := Child(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, "child:", err)
				syscall.Exit(99)
			}
			syscall.Exit(0) // without the second that the race detector waits
		case runRole:
			syscall.Exit(runAlone(os.Args[2]))
		}
	}
	os.Exit(m.Run())
}

// alone is the input of a program that calls Run.
type alone struct {
	Dir     string
	Write   bool
	Command []string
}

// runAlone runs the Spec that an argument contains as JSON.
func runAlone(text string) int {
	var what alone
	if err := json.Unmarshal([]byte(text), &what); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	spec := Spec{
		Dir: what.Dir, Hostname: "box", Write: what.Write, Command: what.Command, Env: Environment(),
		Child: []string{"test", childRole}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGUSR1, unix.SIGHUP)
	spec.Signals = signals
	exit, err := Run(context.Background(), spec)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(exit, 1)
	}
	return exit
}

// busybox makes an image that contains busybox and its libraries.
func busybox(t *testing.T) string {
	t.Helper()
	needs.Root(t) // for the images of other users, and for covering files
	root := filepath.Join(openDir(t), "box")
	program := needs.Tool(t, "busybox", "busybox")
	libraries, err := exec.CommandContext(t.Context(), "ldd", program).Output()
	if err != nil {
		libraries = nil // it is static
	}
	copyFile(t, program, root+"/bin/busybox")
	for _, word := range strings.Fields(string(libraries)) {
		if strings.HasPrefix(word, "/") {
			copyFile(t, word, root+word)
		}
	}
	for _, name := range []string{"sh", "cat", "ls", "mount", "sleep", "kill", "hostname", "id", "env", "ps", "touch", "rm", "mkdir", "stat", "readlink", "dd", "test", "echo", "tty", "chown", "tail", "head", "cut", "grep", "xargs", "find", "sort", "wc", "setsid", "pwd", "umask", "uniq", "tr"} {
		if err := os.Symlink("busybox", root+"/bin/"+name); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"proc", "sys", "dev", "etc", "run", "tmp", "root"} {
		if err := os.Mkdir(root+"/"+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// openDir returns a temporary directory that any user can enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// outcome is the result of entering an image.
type outcome struct {
	exit           int
	stdout, stderr string
	err            error
}

// enterImage runs a Spec in this process.
func enterImage(t *testing.T, spec Spec) outcome {
	t.Helper()
	dir := t.TempDir()
	files := map[string]*os.File{}
	for _, name := range []string{"stdout", "stderr"} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[name] = f
	}
	spec.Child = []string{"test", childRole}
	if spec.Env == nil {
		spec.Env = Environment()
	}
	spec.Stdout, spec.Stderr = files["stdout"], files["stderr"]
	exit, err := Run(t.Context(), spec)
	return outcome{exit: exit, stdout: read(t, dir+"/stdout"), stderr: read(t, dir+"/stderr"), err: err}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// sh returns a Spec for a shell script in an image.
func sh(root, text string) Spec {
	return Spec{Dir: root, Hostname: "box", Command: script(text)}
}

// want checks that the command succeeded and printed a text.
func (o outcome) want(t *testing.T, exit int, stdout string) {
	t.Helper()
	if o.err != nil || o.exit != exit || o.stdout != stdout {
		t.Errorf("exit %d, error %v, standard output %q, standard error %q; want exit %d and %q", o.exit, o.err, o.stdout, o.stderr, exit, stdout)
	}
}

// program returns the command that calls Run. Any user may execute it.
func program(t *testing.T, what alone) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(openDir(t), "program")
	copyFile(t, self, program)
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), program, runRole, string(text))
}

// asUser is program for an ordinary user.
func asUser(t *testing.T, what alone) *exec.Cmd {
	t.Helper()
	cmd := program(t, what)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

const nobody = 65534

// give changes the owner of a tree.
func give(t *testing.T, root string, uid int) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, uid, uid)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// noMounts checks that nothing is mounted in a directory, as this process sees
// it.
func noMounts(t *testing.T, root string) {
	t.Helper()
	for line := range strings.Lines(read(t, "/proc/self/mountinfo")) {
		if strings.Contains(line, root) {
			t.Errorf("it is still mounted: %s", line)
		}
	}
}
