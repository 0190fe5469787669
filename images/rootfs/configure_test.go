//go:build linux

package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// plainImage is an image before it is configured.
func plainImage() memSource {
	return source(
		folder("/", 0o755),
		folder("/.cloudlet", 0o755),
		file("/.cloudlet/manifest", "{}", 0o644),
		folder("/etc", 0o755),
		file("/etc/hosts", "<%= template %>", 0o644),
		file("/etc/motd", "hello", 0o644),
		folder("/srv", 0o700),
	)
}

const record = `{"args": {}}`

// plainOverlay changes one file and adds two. One of these is in a directory
// that does not exist yet.
func plainOverlay() images.Overlay {
	overlaid := func(f memFile) images.File { return images.File{Entry: f.Entry, Content: f.content} }
	return images.Overlay{
		overlaid(file(images.AppliedConfigPath, record, 0o644)),
		overlaid(file("/etc/hosts", "127.0.0.1 web1\n", 0o600).with(func(e *images.Entry) {
			e.UID, e.GID, e.ModTime = 5, 6, testTime.Add(-time.Hour)
			e.Xattrs = map[string]string{"user.role": "web"}
		})),
		overlaid(file("/etc/\xff\n/deep/new", "new", 0o640)),
	}
}

// configured is plainImage after it was configured.
func configured() map[string]facts {
	m := wanted(plainImage())
	for p, f := range wanted(source(folder("/etc/\xff\n", 0o755), folder("/etc/\xff\n/deep", 0o755))) {
		m[p] = f
	}
	for _, f := range plainOverlay() {
		for p, v := range wanted(source(memFile{f.Entry, f.Content})) {
			m[p] = v
		}
	}
	return m
}

// image writes plainImage into a new directory.
func image(t *testing.T, in string) string {
	t.Helper()
	dir := filepath.Join(in, "image")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(t.Context(), dir, plainImage(), Options{NoSync: true}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// differs compares a directory with the wanted state. It ignores the times of
// directories, which change with their contents.
func differs(t *testing.T, dir string, want map[string]facts) string {
	t.Helper()
	return cmp.Diff(want, found(t, dir), cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().String() == ".ModTime"
	}, cmp.Comparer(func(a, b time.Time) bool { return true })), cmpopts.EquateEmpty())
}

func TestConfigure(t *testing.T) {
	needRoot(t)
	dir := image(t, t.TempDir())
	if err := Configure(t.Context(), dir, plainOverlay()); err != nil {
		t.Fatal(err)
	}
	if diff := differs(t, dir, configured()); diff != "" {
		t.Errorf("the configured image differs (-want +got):\n%s", diff)
	}
	if got := found(t, dir)["/etc/hosts"].ModTime; !got.Equal(testTime.Add(-time.Hour)) {
		t.Errorf("/etc/hosts is of %v", got)
	}
	err := Configure(t.Context(), dir, plainOverlay())
	if !errors.Is(err, ErrApplied) || !strings.Contains(err.Error(), ", on 2") {
		t.Errorf("configured again: %v, want ErrApplied with a date", err)
	}
	if err := Recover(t.Context(), dir); err != nil {
		t.Errorf("Recover where there is nothing to do: %v", err)
	}
	if diff := differs(t, dir, configured()); diff != "" {
		t.Errorf("the second time changed the image (-want +got):\n%s", diff)
	}
}

// TestConfigureWithoutAFolder configures an image without /.cloudlet, because
// its manifest is kept elsewhere.
func TestConfigureWithoutAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "image")
	if _, err := Write(t.Context(), dir, source(folder("/", 0o755)), Options{}); err != nil {
		t.Fatal(err)
	}
	bad := append(plainOverlay(), images.File{Entry: images.Entry{Path: "/etc"}})
	if err := Configure(t.Context(), dir, bad); err == nil {
		t.Error("an overlay with a file of no type was taken")
	}
	onlyHolds(t, dir)
	if err := Configure(t.Context(), dir, plainOverlay()); err != nil {
		t.Fatal(err)
	}
	onlyHolds(t, dir, ".cloudlet", "etc")
	onlyHolds(t, filepath.Join(dir, ".cloudlet"), "applied_config")
}

// childConfigure configures a directory and is killed before a given step.
func childConfigure(dir, at string) error {
	kill, err := strconv.Atoi(at)
	if err != nil {
		return err
	}
	return configure(context.Background(), dir, plainOverlay(), func(string) error {
		if kill--; kill < 0 {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	})
}

// killedAt runs childConfigure in another process, and reports whether it
// survived.
func killedAt(t *testing.T, dir string, step int) (lived bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, dir, strconv.Itoa(step))
	cmd.Env = append(os.Environ(), childEnv+"=configure")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
		t.Fatalf("step %d: %v: %s", step, err, out)
	}
	return err == nil
}

// TestKilledAnywhere kills a configuring process before each of its steps.
// After Recover the image must be either unchanged or completely configured.
func TestKilledAnywhere(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	var asItWas, completed int
	for step := 0; ; step++ {
		dir := image(t, base)
		if killedAt(t, dir, step) {
			break
		}
		if err := Recover(t.Context(), dir); err != nil {
			t.Fatalf("killed at step %d: %v", step, err)
		}
		if differs(t, dir, configured()) == "" {
			completed++
			continue
		}
		if diff := differs(t, dir, wanted(plainImage())); diff != "" {
			t.Errorf("killed at step %d it is neither as it was nor configured:\n%s", step, diff)
		}
		asItWas++
		if err := Configure(t.Context(), dir, plainOverlay()); err != nil {
			t.Errorf("killed at step %d, then configured: %v", step, err)
		}
		if diff := differs(t, dir, configured()); diff != "" {
			t.Errorf("killed at step %d, then configured (-want +got):\n%s", step, diff)
		}
	}
	if asItWas < 3 || completed < 5 {
		t.Errorf("%d times as it was, %d times completed: steps are missing", asItWas, completed)
	}
}

var errStep = errors.New("input/output error")

// failAt is a hook that fails once.
func failAt(n int) (hook func(string) error, failed *bool) {
	failed = new(bool)
	return func(string) error {
		if n--; n == -1 {
			*failed = true
			return errStep
		}
		return nil
	}, failed
}

// TestFailingAnywhere makes each step fail in turn. If the step comes before
// the first change, the image must be unchanged at once; otherwise the next run
// must complete it.
func TestFailingAnywhere(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	for step := 0; ; step++ {
		dir := image(t, base)
		hook, failed := failAt(step)
		err := configure(t.Context(), dir, plainOverlay(), hook)
		if !*failed {
			break
		}
		if !errors.Is(err, errStep) {
			t.Fatalf("step %d failed, and the error is %v", step, err)
		}
		if differs(t, dir, wanted(plainImage())) == "" {
			continue
		}
		if !strings.Contains(err.Error(), pendingPath+": fix the cause, then configure again") {
			t.Errorf("step %d: the error does not say how to go on: %v", step, err)
		}
		// Configure again and fail again at the same step; then once more
		// without failing.
		again, _ := failAt(step % 5)
		if err := configure(t.Context(), dir, plainOverlay(), again); err != nil && !errors.Is(err, errStep) && !errors.Is(err, ErrApplied) {
			t.Errorf("step %d, again: %v", step, err)
		}
		if err := Recover(t.Context(), dir); err != nil {
			t.Errorf("step %d: Recover: %v", step, err)
		}
		if diff := differs(t, dir, configured()); diff != "" {
			t.Errorf("step %d: after Recover (-want +got):\n%s", step, diff)
		}
	}
}

func TestTheSameConfigurationCompletes(t *testing.T) {
	needRoot(t)
	dir := image(t, t.TempDir())
	stopped := func(step string) error {
		if strings.HasPrefix(step, "place /etc/hosts") {
			return errStep
		}
		return nil
	}
	if err := configure(t.Context(), dir, plainOverlay(), stopped); !errors.Is(err, errStep) {
		t.Fatal(err)
	}
	if err := Configure(t.Context(), dir, plainOverlay()); err != nil {
		t.Errorf("the same configuration again: %v", err)
	}
	if diff := differs(t, dir, configured()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestConfigureRefuses lists overlays and images that Configure must refuse
// without changing anything.
func TestConfigureRefuses(t *testing.T) {
	needRoot(t)
	overlay := plainOverlay()
	with := func(files ...memFile) images.Overlay {
		o := overlay[:len(overlay):len(overlay)]
		for _, f := range files {
			o = append(o, images.File{Entry: f.Entry, Content: f.content})
		}
		return o
	}
	for name, c := range map[string]struct {
		overlay images.Overlay
		prepare func(t *testing.T, dir string)
		want    string
	}{
		"no-record":     {overlay: overlay[1:], want: "no /.cloudlet/applied_config"},
		"directory":     {overlay: with(file("/srv", "", 0o644)), want: "/srv is a directory"},
		"twice":         {overlay: with(file("/etc/hosts", "", 0o644)), want: "twice"},
		"dot-dot":       {overlay: with(file("/etc/../../evil", "", 0o644)), want: "not the path of a file"},
		"own-folder":    {overlay: with(file("/.cloudlet/config.pending/0", "", 0o644)), want: "config.pending/"},
		"symlink":       {overlay: with(symlink("/etc/link", "x")), want: "not a regular file"},
		"below-a-file":  {overlay: with(file("/etc/motd/x", "", 0o644)), want: "not a directory"},
		"other-disk":    {overlay: overlay, want: "another filesystem", prepare: func(t *testing.T, dir string) { mountTmpfs(t, dir+"/etc", "size=1m") }},
		"mounted-file":  {overlay: overlay, want: "another filesystem", prepare: bindHosts},
		"folder-is-out": {overlay: overlay, want: ".cloudlet", prepare: linkAway(".cloudlet")},
		"etc-is-out":    {overlay: overlay, want: "etc", prepare: linkAway("etc")},
		"locked":        {overlay: overlay, want: "another process", prepare: lockHome},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			dir := image(t, base)
			if c.prepare != nil {
				c.prepare(t, dir)
			}
			before := found(t, dir)
			err := Configure(t.Context(), dir, c.overlay)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if diff := differs(t, dir, before); diff != "" {
				t.Errorf("it was changed (-want +got):\n%s", diff)
			}
		})
	}
}

// bindHosts mounts a file of the image's own filesystem over another one.
func bindHosts(t *testing.T, dir string) {
	if err := unix.Mount(dir+"/etc/motd", dir+"/etc/hosts", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir+"/etc/hosts", 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}

// linkAway moves a directory out of the image and leaves a link to it.
func linkAway(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		away := dir + "-" + name
		if err := errors.Join(os.Rename(filepath.Join(dir, name), away), os.Symlink(away, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if text, _ := os.ReadFile(filepath.Join(away, "hosts")); name == "etc" && string(text) != "<%= template %>" {
				t.Errorf("a file outside of the image was changed: %q", text)
			}
			if name == ".cloudlet" {
				onlyHolds(t, away, "manifest")
			}
		})
	}
}

func lockHome(t *testing.T, dir string) {
	f, err := os.Open(filepath.Join(dir, ".cloudlet"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

// TestPendingOfAStranger configures images that already contain a hostile set
// of waiting files. Nothing outside of them may be touched.
func TestPendingOfAStranger(t *testing.T) {
	for name, c := range map[string]struct {
		list string
		link bool
		want string
	}{
		"out":     {list: `"/../canary"`, want: "not the path of a file"},
		"itself":  {list: `"/.cloudlet/config.pending/list"`, want: "config.pending/"},
		"no-list": {list: "hello", want: "line 1"},
		"empty":   {list: "", want: "line 1"},
		"link":    {list: `"/moved"`, link: true, want: "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			dir := image(t, base)
			set := filepath.Join(dir, pendingPath)
			if c.link {
				set = filepath.Join(base, "outside")
			}
			for _, err := range []error{
				os.Mkdir(set, 0o755), os.WriteFile(filepath.Join(set, "list"), []byte(c.list+"\n"), 0o644),
				os.WriteFile(filepath.Join(set, "0"), []byte("evil"), 0o644), os.WriteFile(filepath.Join(base, "canary"), nil, 0o644),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if c.link {
				if err := os.Symlink(set, filepath.Join(dir, pendingPath)); err != nil {
					t.Fatal(err)
				}
			}
			if err := Recover(t.Context(), dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			onlyHolds(t, set, "list", "0")
			if text, _ := os.ReadFile(filepath.Join(base, "canary")); len(text) > 0 {
				t.Error("a file outside of the image was written")
			}
		})
	}
}

func TestOtherHardLinksStay(t *testing.T) {
	needRoot(t)
	dir := image(t, t.TempDir())
	if err := os.Link(filepath.Join(dir, "etc/hosts"), filepath.Join(dir, "etc/hosts.orig")); err != nil {
		t.Fatal(err)
	}
	if err := Configure(t.Context(), dir, plainOverlay()); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "etc/hosts.orig")); string(text) != "<%= template %>" {
		t.Errorf("the other name has %q", text)
	}
}

func TestRecoverOfNoDirectory(t *testing.T) {
	name := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{name, name + "-no"} {
		if err := Recover(t.Context(), p); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestConfigureAsAUser(t *testing.T) {
	needRoot(t)
	base := publicDir(t)
	if err := os.Chown(base, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "image")
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	runWrite(t, attr, dir)
	cmd := exec.CommandContext(t.Context(), publicBinary(t), dir, "1000")
	cmd.Env = append(os.Environ(), childEnv+"=configure")
	cmd.SysProcAttr, cmd.Dir = attr, "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := found(t, dir)
	if f := got["/etc/hosts"]; f.UID != nobody || f.Mode != 0o600 || f.Sum != configured()["/etc/hosts"].Sum {
		t.Errorf("/etc/hosts is %+v", f)
	}
	if _, ok := got[images.AppliedConfigPath]; !ok {
		t.Error("there is no record")
	}
}

// FuzzList reads lists with arbitrary content.
func FuzzList(f *testing.F) {
	f.Add([]byte(`"/etc/hosts"` + "\n" + `"/.cloudlet/applied_config"` + "\n"))
	f.Add([]byte(`"/../x"`))
	f.Add([]byte("`/a`\n'/'"))
	f.Fuzz(func(t *testing.T, text []byte) {
		paths, err := parseList(text)
		if err != nil {
			return
		}
		var files []images.File
		for _, p := range paths {
			if strings.Contains(p+"/", "/../") || !strings.HasPrefix(p, "/") || p == "/" {
				t.Errorf("took the path %q", p)
			}
			files = append(files, images.File{Entry: images.Entry{Path: p}})
		}
		again, err := parseList(formatList(files))
		if err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", paths) {
			t.Errorf("%q became %q (%v)", paths, again, err)
		}
	})
}
