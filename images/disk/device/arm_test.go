//go:build linux

package device_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk/device"
)

// stick is a device that may be written.
var stick = device.Facts{
	Disk: device.Disk{Name: "sdb", Model: "Ultra", Serial: "4C53", Transport: "usb", Size: 8<<30 + 100, Removable: true},
	Path: "/dev/sdb", Sector: 512, Contents: "blank",
}

func TestPolicy(t *testing.T) {
	mounted := device.Use{What: "/dev/sdb1 is mounted on /media/x", Remedy: "umount /media/x"}
	root := device.Use{What: "/dev/dm-0 is mounted on /", Remedy: "umount /", System: true}
	for name, tt := range map[string]struct {
		change func(*device.Facts)
		size   int64
		want   string // "" is allowed
	}{
		"a stick":           {func(*device.Facts) {}, 8 << 30, ""},
		"of any size":       {func(*device.Facts) {}, 0, ""},
		"a USB disk":        {func(f *device.Facts) { f.Removable = false }, 0, ""},
		"in a card reader":  {func(f *device.Facts) { f.Transport = "" }, 0, ""},
		"an SSD":            {func(f *device.Facts) { f.Removable, f.Transport = false, "nvme" }, 0, "built in"},
		"eMMC":              {func(f *device.Facts) { f.Removable, f.Transport = false, "mmc" }, 0, "built in"},
		"a partition":       {func(f *device.Facts) { f.Path, f.Whole = "/dev/sdb1", "/dev/sdb" }, 0, "give the whole disk, /dev/sdb"},
		"read-only":         {func(f *device.Facts) { f.ReadOnly = true }, 0, "move its write protection"},
		"an empty reader":   {func(f *device.Facts) { f.Size = 0 }, 0, "no medium"},
		"tiny":              {func(f *device.Facts) { f.Size = 1 << 20 }, 0, "it has only 1.0 MB"},
		"too small":         {func(*device.Facts) {}, 8<<30 + 512, "take a larger device"},
		"another size":      {func(*device.Facts) {}, 4 << 30, "leave the size out"},
		"mounted":           {func(f *device.Facts) { f.Uses = []device.Use{mounted} }, 0, "/media/x; end that first: umount /media/x"},
		"the system":        {func(f *device.Facts) { f.Uses = []device.Use{mounted, root} }, 0, "holds the running system: /dev/dm-0"},
		"everything at all": {func(f *device.Facts) { f.Uses, f.ReadOnly = []device.Use{mounted}, true }, 0, "write protection, or take another one; it is in use"},
	} {
		f := stick
		tt.change(&f)
		err := device.Policy{}.Check(f, tt.size)
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, device.ErrRefused) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

// TestPolicyOfUpdates: where the running system is to be updated, the refusal names what does
// that.
func TestPolicyOfUpdates(t *testing.T) {
	f := stick
	if err := (device.Policy{}).CheckUpdate(f, 0); err != nil {
		t.Errorf("a stick: %v", err)
	}
	f.Uses = []device.Use{{What: "/dev/sdb3 is mounted on /", Remedy: "umount /", System: true}}
	if err := (device.Policy{}).CheckUpdate(f, 0); !errors.Is(err, device.ErrRefused) || !strings.Contains(err.Error(), "run `cloudlets update`") {
		t.Errorf("the system's disk: %v", err)
	}
}

// arming tries to arm a medium, which must be refused and stay as it was.
func wantRefused(t *testing.T, m medium, h device.Host, c device.Consent, is error, says string) {
	t.Helper()
	armed, err := device.Arm(t.Context(), h, device.Request{Path: m.path, Size: m.size, What: "a test"}, built, c)
	if err == nil {
		t.Errorf("it was armed (%v), want %q", armed.Close(), says)
		return
	}
	if !errors.Is(err, is) || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want %v that says %q", err, is, says)
	}
}

func TestInUseIsRefused(t *testing.T) {
	const size = 64 << 20
	t.Run("mounted", func(t *testing.T) {
		m := newMedium(t, size, 512, "--partscan")
		tool(t, "util-linux", "addpart", m.path, "1", "2048", "65536")
		tool(t, "e2fsprogs", "mkfs.ext4", "-q", m.path+"p1")
		point := filepath.Join(t.TempDir(), "a stick")
		check(t, os.Mkdir(point, 0o755), unix.Mount(m.path+"p1", point, "ext4", 0, ""))
		t.Cleanup(func() { check(t, unix.Unmount(point, 0)) })
		wantRefused(t, m, host(), device.BySerial(serial), device.ErrRefused, m.path+"p1 is mounted on "+point)
		part := m
		part.path += "p1"
		wantRefused(t, part, host(), device.BySerial(serial), device.ErrRefused, "it is a partition: give the whole disk, "+m.path)
		// A mount that does not show here is seen by the kernel.
		wantRefused(t, m, withoutProc(t), device.BySerial(serial), device.ErrRefused, "in use in a way that is not visible here")
	})
	t.Run("behind a loop device", func(t *testing.T) {
		m := newMedium(t, size, 512)
		other := attach(t, m.path)
		wantRefused(t, m, host(), device.BySerial(serial), device.ErrRefused, m.path+" is part of "+other+"; end that first: losetup --detach "+other)
	})
	t.Run("read-only", func(t *testing.T) {
		m := newMedium(t, size, 512, "--read-only")
		wantRefused(t, m, host(), device.BySerial(serial), device.ErrRefused, "read-only")
	})
	t.Run("claimed", func(t *testing.T) {
		m := newMedium(t, size, 512)
		f, err := os.OpenFile(m.path, os.O_RDWR|unix.O_EXCL, 0)
		check(t, err)
		defer f.Close()
		wantRefused(t, m, host(), device.BySerial(serial), device.ErrRefused, "in use in a way that is not visible here")
	})
	t.Run("built in", func(t *testing.T) {
		m := newMedium(t, size, 512)
		_, err := device.Arm(t.Context(), host(), device.Request{Path: m.path, Size: m.size}, device.Policy{}, device.BySerial(serial))
		if !errors.Is(err, device.ErrRefused) || !strings.Contains(err.Error(), "built in") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		check(t, os.WriteFile(file, nil, 0o600))
		if _, err := host().Look(file); err == nil || !strings.Contains(err.Error(), "not a block device") {
			t.Errorf("got %v", err)
		}
	})
}

// withoutProc is a host that does not see its mounts.
func withoutProc(t *testing.T) device.Host {
	t.Helper()
	h, dir := host(), t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, "self"), 0o755), os.WriteFile(filepath.Join(dir, "self/mountinfo"), nil, 0o600))
	h.Proc = os.DirFS(dir)
	return h
}

// TestAnotherDevice: what was shown, and what is there when it is opened, must
// be the same.
func TestAnotherDevice(t *testing.T) {
	m := newMedium(t, 64<<20, 512)
	for name, change := range map[string]func(*device.Disk){
		"serial": func(d *device.Disk) { d.Serial = "LOOP-0002" },
		"size":   func(d *device.Disk) { d.Size -= 512 },
		"model":  func(d *device.Disk) { d.Model = "Another" },
	} {
		h, looks := host(), 0
		describe := h.Describe
		h.Describe = func(name string) device.Disk {
			d := describe(name)
			if looks++; looks > 1 {
				change(&d)
			}
			return d
		}
		t.Run(name, func(t *testing.T) {
			wantRefused(t, m, h, device.BySerial(serial), device.ErrRefused, "not the device that was shown")
		})
	}
}

// TestLink: a device can be named by a link, as udev makes them, and is shown
// by its own name.
func TestLink(t *testing.T) {
	m := newMedium(t, 64<<20, 4096)
	link := filepath.Join(t.TempDir(), "usb-Loop_Stick")
	check(t, os.Symlink(m.path, link))
	f, err := host().Look(link)
	check(t, err)
	if f.Path != m.path || f.Name != filepath.Base(m.path) || f.Sector != 4096 || f.Capacity() != m.size || f.Contents != "unrecognised data 64 MiB" {
		t.Errorf("got %+v", f)
	}
}

func TestBySerial(t *testing.T) {
	m := newMedium(t, 64<<20, 512)
	wantRefused(t, m, host(), device.BySerial(""), device.ErrNotConfirmed, "give the serial number")
	wantRefused(t, m, host(), device.BySerial("LOOP-0002"), device.ErrNotConfirmed, `is not "LOOP-0002"`)
	h := host()
	h.Describe = func(name string) device.Disk {
		d := host().Describe(name)
		d.Serial = ""
		return d
	}
	wantRefused(t, m, h, device.BySerial(""), device.ErrNotConfirmed, "give the serial number")
	wantRefused(t, m, h, device.BySerial(serial), device.ErrNotConfirmed, "no serial number")
	arm(t, m)
}

// TestTyped has a person answer.
func TestTyped(t *testing.T) {
	m := newMedium(t, 64<<20, 512)
	for name, tt := range map[string]struct {
		types string
		want  string // "" is armed
	}{
		"the name":      {filepath.Base(m.path) + "\n", ""},
		"the path":      {m.path + "\n", ""},
		"yes":           {"yes\n", `"yes" was typed, but the device is ` + m.path},
		"nothing":       {"\n", `"" was typed`},
		"another":       {m.path + "0\n", `was typed, but the device is`},
		"end of input":  {"\x04", "the terminal was closed"},
		"half a name":   {"loop\n", `"loop" was typed`},
		"name and more": {m.path + " please\n", "was typed"},
	} {
		t.Run(name, func(t *testing.T) {
			person, program := pty(t)
			_, err := person.WriteString(tt.types)
			check(t, err)
			c := device.Typed{Terminal: program}
			if tt.want != "" {
				wantRefused(t, m, host(), c, device.ErrNotConfirmed, tt.want)
			} else {
				armed, err := device.Arm(t.Context(), host(), device.Request{Path: m.path, Size: m.size, What: "image\x1b[2J web"}, built, c)
				check(t, err)
				check(t, armed.Close())
			}
			_, err = program.WriteString("\nthe end\n")
			check(t, err)
			wantShown(t, person, m)
		})
	}
	person, program := pty(t)
	_, err := person.WriteString(m.path + "\n")
	check(t, err)
	wantRefused(t, m, host(), device.Typed{Terminal: program, Serial: "LOOP-0002"}, device.ErrNotConfirmed, "serial number")
}

// wantShown reads what a person sees.
func wantShown(t *testing.T, person *os.File, m medium) {
	t.Helper()
	var seen strings.Builder
	for b := make([]byte, 256); !strings.Contains(seen.String(), "the end"); {
		n, err := person.Read(b)
		check(t, err)
		seen.Write(b[:n])
	}
	for _, want := range []string{m.path, "Loop Stick", serial, "67.1 MB (67108864 bytes)", "on it   unrecognised data", "will be lost", "type the device's name"} {
		if !strings.Contains(seen.String(), want) {
			t.Errorf("the person does not see %q, but\n%s", want, seen.String())
		}
	}
	if strings.Contains(seen.String(), "\x1b") {
		t.Errorf("a name changes the terminal: %q", seen.String())
	}
}

// TestNobodyAnswers: the interrupt key ends the question.
func TestNobodyAnswers(t *testing.T) {
	m := newMedium(t, 64<<20, 512)
	person, program := pty(t)
	ctx, interrupt := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := device.Arm(ctx, host(), device.Request{Path: m.path, Size: m.size}, built, device.Typed{Terminal: program})
		done <- err
	}()
	_, err := person.Read(make([]byte, 1)) // the question comes
	check(t, err)
	interrupt()
	if err := <-done; !errors.Is(err, context.Canceled) || !errors.Is(err, device.ErrNotConfirmed) {
		t.Errorf("got %v", err)
	}
}

// child names the environment variable by which these tests run themselves
// as another process, with the device that it tries to arm.
const child = "CLOUDLETS_TEST_DEVICE"

// asChild runs one test of this program as a process of its own session.
func asChild(t *testing.T, name, path string, terminal *os.File) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$")
	cmd.Env = append(os.Environ(), child+"="+path)
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if terminal != nil {
		cmd.Stdin, cmd.SysProcAttr.Setctty = terminal, true
	}
	return cmd
}

// TestWithoutATerminal: a process that belongs to none cannot ask.
func TestWithoutATerminal(t *testing.T) {
	if path := os.Getenv(child); path != "" {
		_, err := device.Arm(t.Context(), host(), device.Request{Path: path, Size: 64 << 20}, built, device.Typed{})
		if !errors.Is(err, device.ErrNotConfirmed) {
			t.Fatalf("got %v", err)
		}
		return
	}
	m := newMedium(t, 64<<20, 512)
	if out, err := asChild(t, "TestWithoutATerminal", m.path, nil).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestInterruptKey: the key ends the question on the terminal that a process
// belongs to, though nothing was typed to its end.
func TestInterruptKey(t *testing.T) {
	if path := os.Getenv(child); path != "" {
		ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
		defer stop()
		_, err := device.Arm(ctx, host(), device.Request{Path: path, Size: 64 << 20}, built, device.Typed{})
		if !errors.Is(err, device.ErrNotConfirmed) || !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		return
	}
	m := newMedium(t, 64<<20, 512)
	person, program := pty(t)
	cmd := asChild(t, "TestInterruptKey", m.path, program)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	check(t, cmd.Start())
	_, err := person.Read(make([]byte, 1)) // the question comes
	check(t, err)
	_, err = person.WriteString("lo\x03")
	check(t, err)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, out.String())
	}
}
