//go:build long

package md_test

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/cpio"
	"cloudlets/images/disk/md"
	"cloudlets/testdata/bed"
	"cloudlets/testdata/needs"
)

// The test program is the init of a virtual machine, too: this computer's kernel may have
// no driver for md.

func TestMain(m *testing.M) {
	if os.Getpid() != 1 {
		os.Exit(m.Run())
	}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if err := guest(ctx); err != nil {
		fmt.Println("guest: FAILED:", err)
	} else {
		fmt.Println("guest: done")
	}
	unix.Sync()
	fmt.Println(unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

// The machine's disks: two for an array of ours, two for one of mdadm's. They are not
// equally long.
const memberSize, longerSize = 8 << 20, 9 << 20

// written is what is written to the array, first with both members and then with one.
const written, writtenAlone = "written to both", "written to one"

// patience is how long the machine may take; the test waits for longer, to hear of it.
const patience = 5 * time.Minute

// TestLongAssemble has a real kernel assemble what Write wrote, and write it; and has
// mdadm read the same, and make an array that Read reads.
func TestLongAssemble(t *testing.T) {
	needs.Root(t)
	ctx, stop := context.WithTimeout(t.Context(), 2*patience)
	defer stop()
	dir := t.TempDir()
	kernel := makeRAMDisk(t, dir)
	sizes := []int64{memberSize, longerSize}
	ours := files(t, mirror(t, sizes...), sizes...)
	spec := bed.Spec{MAC: "52:54:00:00:0e:01", Firmware: bed.BIOS, LocalOnly: true, Kernel: kernel}
	for _, name := range append(ours, filepath.Join(dir, "c"), filepath.Join(dir, "d")) {
		if !slices.Contains(ours, name) {
			if err := bed.NewDisk(name, memberSize); err != nil {
				t.Fatal(err)
			}
		}
		spec.Disks = append(spec.Disks, bed.Disk{File: name})
	}
	network, err := bed.NewNetwork(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	}()
	m, err := bed.Start(ctx, network, dir, spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	if _, err := m.Console.Expect(ctx, regexp.MustCompile(`guest: done`), regexp.MustCompile(`guest: FAILED: .*\n`), regexp.MustCompile(`Kernel panic.*`)); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(m.Console.Text()) {
		if strings.HasPrefix(line, "guest: ") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// makeRAMDisk makes a RAM disk of this program, modules of Debian's kernel, and mdadm.
func makeRAMDisk(t *testing.T, dir string) *bed.Kernel {
	t.Helper()
	mdadm := needs.Made(t, "../../../bin/mdadm/sbin/mdadm", "bin/mdadm")
	debian := needs.Made(t, "../../../.cache/debian-12-[0-9a-f]*.tar", "setup-image")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if exe, err := elf.Open(program); err != nil {
		t.Fatal(err)
	} else if libraries, err := exe.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Fatalf("this program is the init of a virtual machine, and needs %q (%v): test with CGO_ENABLED=0", libraries, err)
	}
	found := readDebian(t, debian)
	kernel := &bed.Kernel{Image: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd"), Cmdline: "console=ttyS0 panic=-1 quiet"}
	if err := os.WriteFile(kernel.Image, found["vmlinuz"], 0o600); err != nil {
		t.Fatal(err)
	}
	delete(found, "vmlinuz")
	for name, file := range map[string]string{"init": program, "sbin/mdadm": mdadm} {
		if found[name], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	out, err := os.Create(kernel.Initrd)
	if err != nil {
		t.Fatal(err)
	}
	w := cpio.NewWriter(out)
	for _, name := range []string{"dev", "proc", "run", "sys", "modules", "sbin", "lib64", "lib", "lib/x86_64-linux-gnu"} {
		if err := w.Put(images.Entry{Path: "/" + name, Type: images.Directory, Mode: 0o755}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range found {
		if err := w.Put(images.Entry{Path: "/" + name, Type: images.Regular, Mode: 0o755, Size: int64(len(content))}, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
	return kernel
}

// modules are those that the machine needs, each after what it depends on.
var modules = []string{"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk", "md-mod", "raid1"}

// readDebian reads the kernel, the modules, and the libraries of mdadm out of Debian's
// root, by their names in the RAM disk.
func readDebian(t *testing.T, file string) map[string][]byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		name := ""
		switch base := path.Base(head.Name); {
		case head.Typeflag != tar.TypeReg:
		case strings.HasPrefix(base, "vmlinuz-"):
			name = "vmlinuz"
		case slices.Contains(modules, strings.TrimSuffix(base, ".ko")):
			name = "modules/" + base
		case base == "ld-linux-x86-64.so.2":
			name = "lib64/" + base
		case base == "libc.so.6":
			name = "lib/x86_64-linux-gnu/" + base
		case strings.HasPrefix(base, "libudev.so.1."):
			name = "lib/x86_64-linux-gnu/libudev.so.1"
		}
		if name != "" {
			if found[name], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// guest is what the machine does.
func guest(ctx context.Context) error {
	if err := prepare(ctx); err != nil {
		return err
	}
	const a, b = "/dev/vda", "/dev/vdb"
	if err := both(ctx, a, b); err != nil {
		return err
	}
	if err := alone(ctx, a, b); err != nil {
		return err
	}
	if err := afterwards(ctx, a, b); err != nil {
		return err
	}
	if err := mdadm(ctx, "Array State : A.", "--examine", a); err != nil {
		return err
	}
	if err := mended(ctx, a, b); err != nil {
		return err
	}
	if err := added(ctx, a, b); err != nil {
		return err
	}
	return foreign(ctx, "/dev/vdc", "/dev/vdd")
}

// prepare mounts what is needed, and loads the modules.
func prepare(ctx context.Context) error {
	errs := []error{
		unix.Mount("dev", "/dev", "devtmpfs", 0, ""), unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("sys", "/sys", "sysfs", 0, ""), unix.Mount("run", "/run", "tmpfs", 0, ""),
	}
	for _, name := range modules {
		if name == "md-mod" {
			_, err := md.Assemble(ctx, 0, []string{"/dev/vda"})
			if err == nil || !strings.Contains(err.Error(), "load its modules") {
				errs = append(errs, fmt.Errorf("without a driver: %v", err))
			}
		}
		f, err := os.Open("/modules/" + name + ".ko")
		if errors.Is(err, os.ErrNotExist) {
			continue // it is built into the kernel
		}
		if err != nil {
			return err
		}
		if err := errors.Join(unix.FinitModule(int(f.Fd()), "", 0), f.Close()); err != nil {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	return errors.Join(errs...)
}

// both assembles the array with both members. What is written to it is on each.
func both(ctx context.Context, a, b string) error {
	if _, err := md.Assemble(ctx, 0, []string{a, "/dev/vdc"}); err == nil {
		return errors.New("an array was assembled with a disk that is no member")
	}
	if _, err := os.Stat("/sys/block/md0"); err == nil {
		return errors.New("an array that could not be assembled was left behind")
	}
	state, err := with(ctx, 0, []string{a, b}, written, func() error {
		m, err := look(a)
		if err == nil && m.Clean() {
			err = fmt.Errorf("while the array is written, %s is %s", a, m)
		}
		return err
	})
	if want := (md.State{Level: 1, Places: 2, Active: 2}); err != nil || !reflect.DeepEqual(state, want) {
		return fmt.Errorf("with both members the array is %+v: %w", state, err)
	}
	for _, device := range []string{a, b} {
		m, err := look(device)
		if err != nil {
			return err
		}
		if !m.Clean() || m.Events <= 1 || m.Missing() != nil {
			return fmt.Errorf("after the stop, %s is %s", device, m)
		}
		if err := begins(device, written); err != nil {
			return err
		}
	}
	return nil
}

// alone assembles the array with one member. The other one does not notice.
func alone(ctx context.Context, a, b string) error {
	state, err := with(ctx, 0, []string{a}, writtenAlone, nothing)
	if want := (md.State{Level: 1, Places: 2, Active: 1}); err != nil || !reflect.DeepEqual(state, want) {
		return fmt.Errorf("with one member the array is %+v: %w", state, err)
	}
	m, err := look(a)
	if err != nil {
		return err
	}
	if missing := m.Missing(); !slices.Equal(missing, []int{1}) {
		return fmt.Errorf("places %v are missing in %s", missing, m)
	}
	return errors.Join(begins(a, writtenAlone), begins(b, written))
}

// afterwards assembles the array with the member that is old. The kernel leaves that out.
func afterwards(ctx context.Context, a, b string) error {
	state, err := with(ctx, 0, []string{b, a}, writtenAlone, nothing)
	if err != nil || state.Active != 1 {
		return fmt.Errorf("with an old member the array is %+v: %w", state, err)
	}
	return errors.Join(begins(a, writtenAlone), begins(b, written))
}

// mended has mdadm put the old member into the array again. What that lacks is copied.
func mended(ctx context.Context, a, b string) error {
	const array = "/dev/md8"
	if err := mdadm(ctx, "", "--assemble", "--run", array, a); err != nil {
		return err
	}
	if err := mdadm(ctx, "", "--manage", array, "--add", b); err != nil {
		return err
	}
	if err := complete(ctx, array); err != nil {
		return err
	}
	if err := md.Stop(ctx, array); err != nil {
		return err
	}
	for _, device := range []string{a, b} {
		m, err := look(device)
		if err != nil {
			return err
		}
		if !m.Clean() || m.Missing() != nil {
			return fmt.Errorf("mdadm made %s", m)
		}
	}
	return errors.Join(begins(a, writtenAlone), begins(b, writtenAlone))
}

// added puts a member into the array again that was away, without mdadm.
func added(ctx context.Context, a, b string) error {
	const text = "written without the other"
	if state, err := with(ctx, 0, []string{a}, text, nothing); err != nil || state.Active != 1 {
		return fmt.Errorf("with one member the array is %+v: %w", state, err)
	}
	left, err := look(a)
	if err != nil {
		return err
	}
	array, err := md.Assemble(ctx, 0, []string{a})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(b, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = md.Write(f, longerSize, left.Replacement(uuid.New(), longerSize))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := md.Add(array, b); err != nil {
		return err
	}
	if err := complete(ctx, array); err != nil {
		return err
	}
	if err := md.Stop(ctx, array); err != nil {
		return err
	}
	var members []md.Member
	for _, device := range []string{a, b} {
		m, err := look(device)
		if err != nil {
			return err
		}
		members = append(members, m)
	}
	if current := md.Current(members); len(current) != 2 {
		return fmt.Errorf("of the members, %v count: %s; %s", current, members[0], members[1])
	}
	return errors.Join(begins(a, text), begins(b, text))
}

// complete waits until both members of an array are in use. mdadm --wait fails if they are
// already.
func complete(ctx context.Context, array string) error {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		state, err := md.Look(array)
		if err != nil || state.Active == 2 {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("the array that mdadm mends is %+v: %w", state, ctx.Err())
		}
	}
}

// foreign has mdadm make an array, which is read and assembled.
func foreign(ctx context.Context, c, d string) error {
	err := mdadm(ctx, "", "--create", "/dev/md9", "--run", "--metadata=1.0", "--level=1", "--raid-devices=2",
		"--homehost=debian", "--name=made", "--bitmap=none", "--assume-clean", c, d)
	if err != nil {
		return err
	}
	if err := md.Stop(ctx, "/dev/md9"); err != nil {
		return err
	}
	for place, device := range []string{c, d} {
		m, err := look(device)
		if err != nil {
			return err
		}
		want := md.Array{ID: m.ID, Name: "debian:made", Level: 1, Size: m.Size, Places: 2, Created: m.Created}
		if !reflect.DeepEqual(m.Array, want) || m.Role() != md.Role(place) || !m.Clean() || m.Missing() != nil {
			return fmt.Errorf("what mdadm made on %s is %s", device, m)
		}
	}
	state, err := with(ctx, 9, []string{c, d}, written, nothing)
	if err != nil || state.Active != 2 {
		return fmt.Errorf("the array that mdadm made is %+v: %w", state, err)
	}
	return nil
}

// mdadm runs mdadm, whose words must have a text in them.
func mdadm(ctx context.Context, want string, args ...string) error {
	out, err := exec.CommandContext(ctx, "/sbin/mdadm", args...).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte(want)) {
		return fmt.Errorf("mdadm %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func nothing() error { return nil }

// with assembles an array, writes a text to its start, and stops it. What is done before
// the stop finds the array as a power cut would leave it.
func with(ctx context.Context, number int, devices []string, text string, then func() error) (state md.State, err error) {
	file, err := md.Assemble(ctx, number, devices)
	if err != nil {
		return state, err
	}
	defer func() { err = errors.Join(err, md.Stop(ctx, file)) }()
	if state, err = md.Look(file); err != nil {
		return state, err
	}
	// Or the kernel would call it clean as soon as nothing is written for a while.
	if err := os.WriteFile(fmt.Sprintf("/sys/block/md%d/md/safe_mode_delay", number), []byte("0"), 0); err != nil {
		return state, err
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return state, err
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return state, err
	}
	return state, then()
}

// look reads the superblock of a device, and prints it.
func look(device string) (md.Member, error) {
	f, err := os.Open(device)
	if err != nil {
		return md.Member{}, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return md.Member{}, err
	}
	m, err := md.Read(f, size)
	if err != nil {
		return m, err
	}
	fmt.Printf("guest: %s: %s\n", device, m)
	return m, nil
}

// begins says whether a device begins with a text.
func begins(device, text string) error {
	f, err := os.Open(device)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, len(text))
	if _, err := io.ReadFull(f, b); err != nil || string(b) != text {
		return fmt.Errorf("%s begins with %q and not with %q: %v", device, b, text, err)
	}
	return nil
}
