package slots_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/slots"
	"cloudlets/testdata/needs"
)

// states are all that there can be.
func states() (all []slots.State) {
	for _, good := range []slots.Name{slots.A, slots.B} {
		all = append(all, slots.Accepted(good))
		for left := range slots.Tries + 1 {
			all = append(all, slots.State{Good: good, Trial: good.Other(), Left: left})
		}
		all = append(all, slots.State{Good: good, Trial: good.Other(), Failure: slots.Silent})
	}
	return all
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, want := range states() {
		block := want.Block()
		if got, err := slots.Parse(block); err != nil || got != want {
			t.Errorf("%+v is read as %+v (%v)", want, got, err)
		}
		if n := bytes.LastIndexByte(block, '\n'); len(block) != 1024 || n >= 512 {
			t.Errorf("%+v has %d bytes, and its last variable ends at byte %d", want, len(block), n)
		}
	}
}

func TestStarted(t *testing.T) {
	state := slots.Accepted(slots.A).OnTrial()
	for ; state.Left > 0; state.Left-- {
		if state.Started() != slots.B || state.Failed() {
			t.Errorf("with %d tries left, slot %s is started", state.Left, state.Started())
		}
	}
	if state.Started() != slots.A || !state.Failed() {
		t.Errorf("with no try left, slot %s is started", state.Started())
	}
	if again := state.OnTrial(); again.Trial != slots.B || again.Left != slots.Tries {
		t.Errorf("the next trial is %+v", again)
	}
}

// TestGRUBReadsAndWrites the same block: its own tool changes a variable, as its menu does.
func TestGRUBReadsAndWrites(t *testing.T) {
	editor := needs.Tool(t, "grub-editenv", "grub-common")
	file := filepath.Join(t.TempDir(), "slots")
	for _, state := range states() {
		if err := os.WriteFile(file, state.Block(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(editor, file, "list").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "good="+string(state.Good)+"\n") {
			t.Errorf("GRUB reads %q (%v)", out, err)
		}
		if out, err := exec.Command(editor, file, "set", "left=1").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		want := state
		want.Left = 1
		if got, err := slots.Parse(read(t, file)); err != nil || got != want {
			t.Errorf("after GRUB has written, the state is %+v, want %+v (%v)", got, want, err)
		}
	}
}

// disk is a disk in memory that counts its writes.
type disk struct {
	*bytes.Reader
	bytes  []byte
	writes []int
	before []change // what there was where it was written
	synced bool
	sector int64 // reads of anything but whole sectors fail, if it is not 0
}

type change struct {
	off   int64
	bytes []byte
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	if d.sector > 0 && (off%d.sector != 0 || int64(len(p))%d.sector != 0) {
		return 0, fmt.Errorf("%d bytes at %d are not whole sectors", len(p), off)
	}
	return d.Reader.ReadAt(p, off)
}

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	d.writes, d.synced = append(d.writes, len(p)), false
	d.before = append(d.before, change{off, bytes.Clone(d.bytes[off:][:len(p)])})
	return copy(d.bytes[off:], p), nil
}

func (d *disk) Sync() error { d.synced = true; return nil }

const espAt = 1 << 20

// newDisk has an EFI system partition with some files.
func newDisk(t *testing.T, sector int64, files ...fat.File) *disk {
	t.Helper()
	size := 40 << 20 // FAT32 has at least 65,525 clusters, of a sector or more
	if sector == 4096 {
		size = 300 << 20
	}
	b := make([]byte, espAt+size)
	d := &disk{Reader: bytes.NewReader(b), bytes: b}
	if err := fat.Write(t.Context(), partition{d}, int64(len(b)-espAt), fat.Options{SectorSize: sector}, files); err != nil {
		t.Fatal(err)
	}
	d.writes, d.before, d.sector = nil, nil, sector
	return d
}

type partition struct{ *disk }

func (p partition) WriteAt(b []byte, off int64) (int, error) { return p.disk.WriteAt(b, espAt+off) }

// TestWrite changes one sector, and no other byte.
func TestWrite(t *testing.T) {
	for _, sector := range []int64{512, 4096} {
		d := newDisk(t, sector, fat.Bytes("EFI/BOOT/BOOTX64.EFI", bytes.Repeat([]byte("MZ"), 9000)),
			fat.Bytes("grub/grub.cfg", []byte("menu")), fat.Bytes(slots.Path, slots.Accepted(slots.A).Block()))
		want := slots.Accepted(slots.A).OnTrial()
		if err := slots.Write(d, espAt, sector, want); err != nil {
			t.Fatal(err)
		}
		if got, err := slots.Read(d, espAt); err != nil || got != want || !d.synced {
			t.Errorf("the state is %+v, synced %t (%v)", got, d.synced, err)
		}
		if len(d.writes) != 1 || int64(d.writes[0]) != sector {
			t.Errorf("with sectors of %d bytes there were writes of %d", sector, d.writes)
		}
		if err := slots.Write(d, espAt, sector, slots.Accepted(slots.A)); err != nil || len(d.before) != 2 || d.before[0].off != d.before[1].off || !bytes.Equal(d.before[0].bytes, d.bytes[d.before[0].off:][:sector]) {
			t.Errorf("there and back is not what it was (%v)", err)
		}
	}
}

func TestDiskWithoutState(t *testing.T) {
	if _, err := slots.Read(newDisk(t, 512, fat.Bytes("grub/grub.cfg", nil)), espAt); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := slots.Read(newDisk(t, 512, fat.Bytes(slots.Path, []byte("short"))), espAt); err == nil || !strings.Contains(err.Error(), "5 bytes") {
		t.Errorf("got %v", err)
	}
	b := make([]byte, espAt+4096)
	if _, err := slots.Read(bytes.NewReader(b), espAt); err == nil {
		t.Error("an empty disk has a state")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range states() {
		f.Add(s.Block())
	}
	f.Add([]byte("# GRUB Environment Block\ngood=a\ntrial=b\nfailure=" + strings.Repeat("0", 2000)))
	f.Add([]byte("# GRUB Environment Block\ngood=a\ntrial=a\n"))
	f.Fuzz(func(t *testing.T, block []byte) {
		s, err := slots.Parse(block)
		if err != nil {
			return
		}
		if again, err := slots.Parse(s.Block()); err != nil || again != s {
			t.Errorf("%q is %+v, and again %+v (%v)", block, s, again, err)
		}
	})
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
