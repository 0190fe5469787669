package bootorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"cloudlets/testdata/needs"
)

// firmware is a folder with variables, as efivarfs shows them. After each change it
// checks that the boot order names only entries that are there.
type firmware struct {
	Dir
	t      *testing.T
	left   int // how many changes there may be before the power fails; -1 is no end
	refuse string
	writes int
}

var errNoPower = errors.New("the power failed")

// newFirmware has some entries in their order, and started by current.
func newFirmware(t *testing.T, order []uint16, current int, entries map[uint16]string) *firmware {
	t.Helper()
	f := &firmware{Dir: Dir(t.TempDir()), t: t, left: -1}
	for number, title := range entries {
		data, err := Option{Attributes: Active, Description: title, Path: []Node{{typeEnd, subtypeEndAll, nil}}}.Bytes()
		must(t, err)
		must(t, f.Dir.Write(variable(number), data))
	}
	if order != nil {
		must(t, f.Dir.Write("BootOrder", numberBytes(order)))
	}
	if current >= 0 {
		must(t, f.Dir.Write("BootCurrent", numberBytes([]uint16{uint16(current)})))
	}
	must(t, os.WriteFile(filepath.Join(string(f.Dir), "Boot0000-00000000-0000-0000-0000-000000000000"), []byte("another namespace"), 0o644))
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *firmware) Write(name string, data []byte) error {
	if name == f.refuse {
		return &fs.PathError{Op: "write", Path: name, Err: syscall.ENOSPC}
	}
	return f.change(func() error { return f.Dir.Write(name, data) })
}

func (f *firmware) Remove(name string) error {
	return f.change(func() error { return f.Dir.Remove(name) })
}

func (f *firmware) change(do func() error) error {
	if f.left == 0 {
		return errNoPower
	}
	f.left--
	f.writes++
	err := do()
	f.checkOrder()
	return err
}

func (f *firmware) checkOrder() {
	f.t.Helper()
	order, err := readNumbers(f.Dir, "BootOrder")
	must(f.t, err)
	for _, n := range order {
		if _, err := f.Read(variable(n)); err != nil {
			f.t.Errorf("the order %04X names an entry that is not there: %v", order, err)
		}
	}
}

// menu is the boot order with the entries' titles, and after a bar the entries that are
// in no order.
func (f *firmware) menu() string {
	f.t.Helper()
	order, err := readNumbers(f.Dir, "BootOrder")
	must(f.t, err)
	all, _, err := entries(f.Dir)
	must(f.t, err)
	slices.Sort(all)
	var words, rest []string
	for _, n := range order {
		words = append(words, f.title(n))
	}
	for _, n := range all {
		if !slices.Contains(order, n) {
			rest = append(rest, f.title(n))
		}
	}
	return strings.Join(words, ", ") + " | " + strings.Join(rest, ", ")
}

func (f *firmware) title(n uint16) string {
	data, err := f.Read(variable(n))
	must(f.t, err)
	o, err := ParseOption(data)
	must(f.t, err)
	return fmt.Sprintf("%X %s", n, o.Description)
}

func TestPut(t *testing.T) {
	for name, c := range map[string]struct {
		order   []uint16
		current int
		entries map[uint16]string
		want    string
	}{
		"after the entry that the machine started by": {[]uint16{4, 1, 0}, 4, map[uint16]string{0: "Shell", 1: "Windows", 4: "PXE"}, "4 PXE, 2 cloudlets: web, 1 Windows, 0 Shell | "},
		"first, without such an entry":                {[]uint16{1}, -1, map[uint16]string{1: "Windows"}, "0 cloudlets: web, 1 Windows | "},
		"first, started once by hand":                 {[]uint16{1}, 2, map[uint16]string{1: "Windows", 2: "PXE"}, "0 cloudlets: web, 1 Windows | 2 PXE"},
		"without any order":                           {nil, -1, nil, "0 cloudlets: web | "},
		"in the place of the earlier one":             {[]uint16{3, 1, 4}, 4, map[uint16]string{3: "cloudlets: old", 1: "Windows", 4: "PXE"}, "3 cloudlets: web, 1 Windows, 4 PXE | "},
		"stale ones go":                               {[]uint16{4, 7, 3}, 4, map[uint16]string{3: "cloudlets: old", 4: "PXE", 7: "cloudlets: older", 9: "cloudlets: lost"}, "4 PXE, 7 cloudlets: web | "},
		"one that is in no order":                     {[]uint16{4}, 4, map[uint16]string{4: "PXE", 5: "cloudlets: lost"}, "4 PXE, 5 cloudlets: web | "},
		"others that look alike":                      {[]uint16{0}, -1, map[uint16]string{0: "my cloudlets: mine", 1: "cloudlets"}, "2 cloudlets: web, 0 my cloudlets: mine | 1 cloudlets"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFirmware(t, c.order, c.current, c.entries)
			made, err := Put(f, testEntry("web"))
			if got := f.menu(); err != nil || got != c.want {
				t.Errorf("the menu is %q, want %q (%v)", got, c.want, err)
			}
			data, err := f.Read(made)
			if err != nil {
				t.Fatal(err)
			}
			if want, _ := testEntry("web").option().Bytes(); string(data) != string(want) {
				t.Errorf("%s is %x, want %x", made, data, want)
			}
			before := f.writes
			if _, err := Put(f, testEntry("web")); err != nil || f.writes != before {
				t.Errorf("the same entry is written again (%v)", err)
			}
		})
	}
}

// TestPowerFails: wherever the power fails, the order names only what is there, others'
// entries are as they were, and the next install ends as if nothing had happened.
func TestPowerFails(t *testing.T) {
	for changes := range 4 {
		f := newFirmware(t, []uint16{4, 7, 1}, 4, map[uint16]string{1: "Windows", 4: "PXE", 7: "cloudlets: old", 9: "cloudlets: lost"})
		f.left = changes
		_, err := Put(f, testEntry("web"))
		if done := err == nil; done != (changes >= 2) {
			t.Errorf("after %d changes: %v", changes, err)
		}
		f.checkOrder()
		f.left = -1
		if _, err := Put(f, testEntry("web")); err != nil {
			t.Error(err)
		}
		if got := f.menu(); got != "4 PXE, 7 cloudlets: web, 1 Windows | " {
			t.Errorf("after %d changes and another install the menu is %q", changes, got)
		}
	}
}

// TestFullMemory: an entry that does not fit leaves nothing behind.
func TestFullMemory(t *testing.T) {
	for _, refuse := range []string{"Boot0000", "BootOrder"} {
		f := newFirmware(t, []uint16{4}, 4, map[uint16]string{4: "PXE"})
		f.refuse = refuse
		_, err := Put(f, testEntry("web"))
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "boot entry for web") {
			t.Errorf("%s: %v", refuse, err)
		}
		if got := f.menu(); got != "4 PXE | " {
			t.Errorf("%s: the menu is %q", refuse, got)
		}
	}
}

// TestUnreadableVariables: an entry that is no load option is left alone, and an order
// that is no list is not replaced.
func TestUnreadableVariables(t *testing.T) {
	f := newFirmware(t, []uint16{0}, -1, nil)
	must(t, f.Dir.Write("Boot0000", []byte("?")))
	must(t, os.WriteFile(f.file("Boot0001"), nil, 0o644))
	if made, err := Put(f, testEntry("web")); err != nil || made != "Boot0002" {
		t.Errorf("made %s, %v", made, err)
	}
	must(t, f.Dir.Write("BootOrder", []byte{1, 2, 3}))
	if _, err := Put(f, testEntry("other")); err == nil || !strings.Contains(err.Error(), "reset the boot order") {
		t.Errorf("an order of three bytes: %v", err)
	}
	if _, err := Put(Dir(filepath.Join(t.TempDir(), "none")), testEntry("web")); err == nil {
		t.Error("a folder that is not there is no error")
	}
}

// TestShorterVariable: a variable that becomes shorter has nothing left of the longer
// one.
func TestShorterVariable(t *testing.T) {
	d := Dir(t.TempDir())
	must(t, d.Write("BootOrder", []byte("123456")))
	must(t, d.Write("BootOrder", []byte("ab")))
	raw, err := os.ReadFile(d.file("BootOrder"))
	if err != nil || string(raw) != "\x07\x00\x00\x00ab" {
		t.Errorf("the file has %q (%v)", raw, err)
	}
}

// TestEfibootmgrReadsIt: the tool that people use shows the entry, in its place.
func TestEfibootmgrReadsIt(t *testing.T) {
	f := newFirmware(t, []uint16{4, 1}, 4, map[uint16]string{1: "Windows", 4: "PXE"})
	made, err := Put(f, testEntry("web"))
	must(t, err)
	cmd := exec.CommandContext(t.Context(), needs.Tool(t, "efibootmgr", "efibootmgr"), "--verbose")
	cmd.Env = append(os.Environ(), "EFIVARFS_PATH="+string(f.Dir)+"/")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("efibootmgr: %v: %s", err, out)
	}
	for _, want := range []string{
		"BootOrder: 0004,0000,0001\n",
		made + "* cloudlets: web\tHD(2,GPT,12345678-9abc-def0-0123-456789abcdef,0x1000,0x100000)/File(\\EFI\\BOOT\\BOOTX64.EFI)\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("efibootmgr does not say %q, but:\n%s", want, out)
		}
	}
}
