//go:build linux

package rootfs

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"cloudlets/images"
)

// childEnv is the environment variable that makes the test binary do one task
// as another process.
const childEnv = "CLOUDLETS_ROOTFS_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "write":
		childExit(childWrite(os.Args[1]))
	case "configure":
		childExit(childConfigure(os.Args[1], os.Args[2]))
	}
	os.Exit(m.Run())
}

func childExit(err error) {
	if err != nil {
		_, _ = io.WriteString(os.Stderr, err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

// childWrite writes a tree with one file of each kind and prints what was lost.
func childWrite(dir string) error {
	report, err := Write(context.Background(), dir, everything(), Options{})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

// nobody is the number of an ordinary user.
const nobody = 65534

// TestWithoutRoot writes as an ordinary user, and as root of a user namespace.
// Both must get what they can set, and a report of the rest.
func TestWithoutRoot(t *testing.T) {
	needRoot(t)
	user := &syscall.Credential{Uid: nobody, Gid: nobody}
	for name, attr := range map[string]*syscall.SysProcAttr{
		"user": {Credential: user},
		"user-namespace": {
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
			Credential:  &syscall.Credential{Uid: 0, Gid: 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			base := publicDir(t)
			if err := os.Chown(base, nobody, nobody); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(base, "image")
			report := runWrite(t, attr, dir)
			checkLost(t, report, name == "user-namespace")
			got := found(t, dir)
			if e := got["/bin/su"]; e.Mode != 0o755 || e.UID != nobody && name == "user" {
				t.Errorf("/bin/su has mode %#o and owner %d: setuid for somebody else", e.Mode, e.UID)
			}
			for p, want := range wanted(everything()) {
				if have := got[p]; have.Sum != want.Sum {
					t.Errorf("%s holds something else", p)
				}
			}
			if _, ok := got["/dev/null"]; ok {
				t.Error("a user made a device")
			}
			onlyHolds(t, base, "image")
		})
	}
}

// checkLost checks that the report contains what no user can make, and nothing
// that every user can make. mapped is set for a process that is root in its own
// namespace.
func checkLost(t *testing.T, report Report, mapped bool) {
	t.Helper()
	if report.Entries != len(everything().files) {
		t.Errorf("%d entries are done, want %d", report.Entries, len(everything().files))
	}
	lost := map[string]images.Entry{}
	for _, e := range report.Lost {
		lost[e.Path] = e
	}
	if !slices.IsSortedFunc(report.Lost, func(a, b images.Entry) int { return cmp.Compare(a.Path, b.Path) }) {
		t.Error("the lost entries are not sorted")
	}
	for _, p := range []string{"/bin/ping", "/bin/su", "/dev/null", "/dev/null2", "/dev/sdz", "/etc/hosts", "/etc/mtab", "/srv"} {
		if _, ok := lost[p]; !ok {
			t.Errorf("%s is not among the lost", p)
		}
	}
	if e := lost["/bin/su"]; e.Mode != 0o4755 || e.GID != 1000 {
		t.Errorf("/bin/su is noted as %+v, want it as it should be", e)
	}
	if e := lost["/dev/sdz"]; e.Type != images.BlockDevice || e.Major != 259 {
		t.Errorf("/dev/sdz is noted as %+v, want it as it should be", e)
	}
	if _, ok := lost["/etc/empty"]; ok && mapped {
		t.Error("/etc/empty is lost, though it belongs to root, which the namespace knows")
	}
}

// runWrite runs childWrite in another process.
func runWrite(t *testing.T, attr *syscall.SysProcAttr, dir string) Report {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), publicBinary(t), dir)
	cmd.Env = append(os.Environ(), childEnv+"=write")
	cmd.SysProcAttr = attr
	cmd.Dir = "/"
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("write in another process: %v: %s", err, stderr(err))
	}
	var report Report
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

func stderr(err error) []byte {
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.Stderr
	}
	return nil
}

// publicDir returns a temporary directory that every user can enter. The
// directories of the testing package are private.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rootfs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// publicBinary returns a copy of the test binary that every user may run.
func publicBinary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(publicDir(t), "rootfs.test")
	if err := os.WriteFile(name, program, 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}
