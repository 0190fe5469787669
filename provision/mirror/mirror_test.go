package mirror

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/disk"
	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/md"
	"cloudlets/images/disk/slots"
)

const (
	rootID = "0f8fad5b-d9cb-469f-a165-70867728950e"
	dataID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
)

func TestParams(t *testing.T) {
	root, data := uuid.MustParse(rootID), uuid.MustParse(dataID)
	for line, want := range map[string]Params{
		"quiet cloudlets.mirror.root=" + rootID: {Root: root, Init: "/sbin/init"},
		"cloudlets.mirror.root=" + rootID + " cloudlets.mirror.data=" + dataID + " init=/.cloudlet/preinit cloudlets.trial panic=10\n": {root, data, "/.cloudlet/preinit", true},
		"cloudlets.mirror.root=" + dataID + " cloudlets.mirror.root=" + rootID + " init= -- cloudlets.trial":                           {Root: root, Init: "/sbin/init"},
	} {
		if got, err := ParseParams(line); err != nil || got != want || !Asked(line) {
			t.Errorf("%s: got %+v, %v", line, got, err)
		}
	}
	for line, says := range map[string]string{
		"cloudlets.mirror.root=": "UUID of an array",
		"cloudlets.mirror.root=" + rootID + " cloudlets.mirror.data=x": `cloudlets.mirror.data="x"`,
		"cloudlets.mirror.root=" + rootID + " init=sh":                 `init="sh"`,
	} {
		if _, err := ParseParams(line); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", line, err, says)
		}
	}
	for _, line := range []string{"", "cloudlets.mirror.data=" + dataID, "quiet -- cloudlets.mirror.root=" + rootID, "xcloudlets.mirror.root=1"} {
		if Asked(line) {
			t.Errorf("%q asks for a system on a mirror", line)
		}
	}
}

func FuzzParseParams(f *testing.F) {
	f.Add("cloudlets.mirror.root=" + rootID + " init=/sbin/init")
	f.Fuzz(func(t *testing.T, line string) {
		p, err := ParseParams(line)
		if err == nil && !strings.HasPrefix(p.Init, "/") {
			t.Errorf("%q: %+v", line, p)
		}
	})
}

// machine has the disks of one mirror, as the kernel lists them.
type machine struct {
	search
	layouts [2]disk.Layout
}

const diskSize = 512 << 20

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{search: search{dir: filepath.Join(dir, "class"), dev: filepath.Join(dir, "dev"), grace: time.Millisecond}}
	if err := errors.Join(os.Mkdir(m.dir, 0o755), os.Mkdir(m.dev, 0o755)); err != nil {
		t.Fatal(err)
	}
	first, err := disk.NewLayout(diskSize, 512, disk.Options{Seed: t.Name(), Slots: true, Mirror: true, Persistent: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.Second(diskSize)
	if err != nil {
		t.Fatal(err)
	}
	m.layouts = [2]disk.Layout{first, second}
	m.want = []uuid.UUID{uuid.MustParse(first.Root.Array), uuid.MustParse(first.Persistent.Array)}
	return m
}

// name is that of a disk.
func name(n int) string { return "vd" + string(rune('a'+n)) }

// plug adds a disk, with a state of its slots, and with members that have seen so many
// events, each without the other if alone.
func (m *machine) plug(t *testing.T, n int, state slots.State, events uint64, alone bool) {
	t.Helper()
	l := m.layouts[n]
	whole := m.device(t, name(n), diskSize, "")
	table, err := l.Table()
	if err != nil {
		t.Fatal(err)
	}
	whole.WriteAt(table.First, 0)
	whole.WriteAt(table.Backup, table.BackupOffset)
	if err := fat.Write(t.Context(), io.NewOffsetWriter(whole, l.ESP.Offset), l.ESP.Size, fat.Options{}, []fat.File{fat.Bytes(slots.Path, state.Block())}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []disk.Partition{l.Root, l.Other, l.Persistent} {
		members, err := md.Mirror(md.Identity{ID: uuid.MustParse(p.Array), Name: "node1:" + p.Name, Created: time.Unix(1000, 0),
			Devices: []uuid.UUID{{1}, {2}}}, []int64{p.Size, p.Size})
		if err != nil {
			t.Fatal(err)
		}
		member := members[n]
		if member.Events = events; alone {
			member.Roles[1-n] = md.Faulty
		}
		part := m.device(t, fmt.Sprintf("%s/%s%d", name(n), name(n), p.Number), p.Size, fmt.Sprint(p.Number))
		if err := errors.Join(md.Write(part, p.Size, member), md.Write(io.NewOffsetWriter(whole, p.Offset), p.Size, member)); err != nil {
			t.Fatal(err)
		}
	}
}

// device makes a device of the kernel, a partition if it has a number.
func (m *machine) device(t *testing.T, sys string, size int64, number string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(m.dev, filepath.Base(sys)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	dir := filepath.Join(filepath.Dir(m.dir), "devices", sys)
	errs := []error{f.Truncate(size), os.MkdirAll(filepath.Join(dir, "queue"), 0o755), os.Symlink(dir, filepath.Join(m.dir, filepath.Base(sys))),
		os.WriteFile(filepath.Join(dir, "size"), []byte(fmt.Sprintln(size/512)), 0o600), os.WriteFile(filepath.Join(dir, "queue/logical_block_size"), []byte("512\n"), 0o600)}
	if number != "" {
		errs = append(errs, os.WriteFile(filepath.Join(dir, "partition"), []byte(number+"\n"), 0o600))
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return f
}

func (m *machine) params() Params { return Params{Root: m.want[0], Data: m.want[1]} }

// state is that of the slots on a disk.
func (m *machine) state(t *testing.T, n int) slots.State {
	t.Helper()
	f, err := os.Open(filepath.Join(m.dev, name(n)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := slots.Read(f, m.layouts[n].ESP.Offset)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSearch: all members are waited for, and only for a while once each array has one.
func TestSearch(t *testing.T) {
	m := newMachine(t)
	good := slots.Accepted(slots.A)
	m.device(t, "vdx", diskSize, "")
	m.grace = time.Hour // both come
	looks := 0
	got, err := m.wait(t.Context(), func(context.Context) error {
		if looks++; looks <= 2 {
			m.plug(t, 2-looks, good, 5, false)
		}
		return nil
	})
	if err != nil || len(got) != 2 || len(got[m.want[0]]) != 2 || len(got[m.want[1]]) != 2 || looks != 2 {
		t.Fatalf("after %d looks there is %+v (%v)", looks, got, err)
	}
	if f := got[m.want[0]][0]; f.file != filepath.Join(m.dev, "vda3") || f.partition != 3 || f.array() != "/dev/md103" {
		t.Errorf("the first member is %+v, of %s", f, f.array())
	}
	alone := newMachine(t)
	alone.plug(t, 1, good, 5, false)
	if got, err := alone.wait(t.Context(), func(context.Context) error { return nil }); err != nil || len(got[alone.want[0]]) != 1 {
		t.Errorf("with one disk there is %+v (%v)", got, err)
	}
}

// TestNotFound: what is there instead is told.
func TestNotFound(t *testing.T) {
	m := newMachine(t)
	says := func(want string) {
		t.Helper()
		ctx, stop := context.WithCancel(t.Context())
		_, err := m.wait(ctx, func(context.Context) error { stop(); return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	says("the kernel shows no disk")
	m.plug(t, 0, slots.Accepted(slots.A), 5, false)
	m.want[0] = uuid.MustParse(rootID)
	says("find the array " + rootID)
	_, err := m.wait(t.Context(), func(context.Context) error { return errors.New("no memory") })
	if err == nil || !strings.Contains(err.Error(), "load drivers: no memory") {
		t.Errorf("got %v", err)
	}
}

// TestSettle: a disk that was away is told which system is good, and the machine starts
// again if that is another one than was started.
func TestSettle(t *testing.T) {
	a, b := slots.Accepted(slots.A), slots.Accepted(slots.B)
	trial := func(left int) slots.State { return slots.State{Good: slots.A, Trial: slots.B, Left: left} }
	for name, test := range map[string]struct {
		states [2]slots.State
		events [2]uint64
		alone  [2]bool
		slot   slots.Name // that was started
		want   [2]slots.State
		again  bool
	}{
		"both are the same":                     {[2]slots.State{a, a}, [2]uint64{5, 5}, [2]bool{}, slots.A, [2]slots.State{a, a}, false},
		"power was cut between the two":         {[2]slots.State{a, trial(3)}, [2]uint64{5, 5}, [2]bool{}, slots.A, [2]slots.State{a, trial(3)}, false},
		"away, and knows it all":                {[2]slots.State{a, a}, [2]uint64{5, 9}, [2]bool{false, true}, slots.A, [2]slots.State{a, a}, false},
		"away while one was accepted":           {[2]slots.State{trial(2), b}, [2]uint64{5, 9}, [2]bool{false, true}, slots.B, [2]slots.State{b, b}, false},
		"away, and its tries are used up":       {[2]slots.State{trial(0), b}, [2]uint64{5, 9}, [2]bool{false, true}, slots.A, [2]slots.State{b, b}, true},
		"the second was away":                   {[2]slots.State{b, trial(3)}, [2]uint64{9, 5}, [2]bool{true, false}, slots.B, [2]slots.State{b, b}, false},
		"tries are not given back":              {[2]slots.State{trial(1), trial(3)}, [2]uint64{5, 9}, [2]bool{false, true}, slots.B, [2]slots.State{trial(1), trial(3)}, false},
		"each ran alone, and one changed later": {[2]slots.State{a, b}, [2]uint64{7, 9}, [2]bool{true, true}, slots.A, [2]slots.State{b, b}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			for n := range test.states {
				m.plug(t, n, test.states[n], test.events[n], test.alone[n])
				m.layouts[n] = m.layouts[n].In(test.slot)
			}
			m.want[0] = uuid.MustParse(m.layouts[0].Root.Array)
			members, err := m.wait(t.Context(), func(context.Context) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			again, err := m.settle(io.Discard, m.params(), m.disks(members))
			if err != nil || again != test.again {
				t.Errorf("starts again: %t (%v), want %t", again, err, test.again)
			}
			if got := [2]slots.State{m.state(t, 0), m.state(t, 1)}; got != test.want {
				t.Errorf("the states are %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestFind: a person is told what is missing, and the search goes on until it is there. A
// system on trial fails then.
func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.device(t, "vdx", diskSize, "")
		begun := time.Now()
		come := func(context.Context) error {
			if time.Since(begun) > 2*patience+time.Second {
				m.plugOnce(t, 1)
			}
			return nil
		}
		if _, err := m.find(t.Context(), io.Discard, true, come); err == nil || !strings.Contains(err.Error(), "find the array") || time.Since(begun) > patience+time.Second {
			t.Errorf("on trial got %v after %s", err, time.Since(begun))
		}
		var console strings.Builder
		got, err := m.find(t.Context(), &console, false, come)
		if err != nil || len(got[m.want[1]]) != 1 || strings.Count(console.String(), "vdx; see to the disks and their cables; the search goes on\n") != 1 {
			t.Errorf("got %+v, %v and said %q", got, err, console.String())
		}
		if _, err := m.find(t.Context(), io.Discard, false, func(context.Context) error { return errors.New("no memory") }); err == nil {
			t.Error("a fault that does not pass is not told")
		}
	})
}

func (m *machine) plugOnce(t *testing.T, n int) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(m.dev, name(n))); err != nil {
		m.plug(t, n, slots.Accepted(slots.A), 5, false)
	}
}

// TestSecondDiskIsNotWaitedForInVain: when the time is over, one disk is enough.
func TestSecondDiskIsNotWaitedForInVain(t *testing.T) {
	m := newMachine(t)
	m.grace = time.Hour
	ctx, stop := context.WithCancel(t.Context())
	got, err := m.wait(ctx, func(context.Context) error {
		m.plugOnce(t, 1)
		stop()
		return nil
	})
	if err != nil || len(got[m.want[0]]) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestHalfFilledDisk: a disk that has only a part of an array's content does not start the
// system by itself, and does with the other one.
func TestHalfFilledDisk(t *testing.T) {
	m := newMachine(t)
	m.plug(t, 0, slots.Accepted(slots.A), 5, false)
	m.halfFilled(t, 0)
	ctx, stop := context.WithCancel(t.Context())
	if got, err := m.wait(ctx, func(context.Context) error { stop(); return nil }); err == nil || !strings.Contains(err.Error(), "vda4 has only a part") {
		t.Errorf("with the half-filled disk alone got %+v, %v", got, err)
	}
	m.plug(t, 1, slots.Accepted(slots.A), 5, false)
	got, err := m.wait(t.Context(), func(context.Context) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if list := m.disks(got).current(m.want[1]); len(list) != 2 {
		t.Errorf("with both, %+v count", list)
	}
}

// halfFilled marks the member of a disk's data as one that was being filled.
func (m *machine) halfFilled(t *testing.T, n int) {
	t.Helper()
	p := m.layouts[n].Persistent
	f, err := os.OpenFile(filepath.Join(m.dev, fmt.Sprintf("%s%d", name(n), p.Number)), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	member, err := md.Read(f, p.Size)
	if err != nil {
		t.Fatal(err)
	}
	// What is written here has no features, so the bit is set in the bytes. The superblock is
	// at the end of what its members can have, and its sum is a plain sum of words.
	b := make([]byte, 256)
	if _, err := f.ReadAt(b, member.Capacity); err != nil {
		t.Fatal(err)
	}
	const features, sum, filling = 8, 216, 2
	le := binary.LittleEndian
	le.PutUint32(b[features:], filling)
	le.PutUint32(b[sum:], le.Uint32(b[sum:])+filling)
	if _, err := f.WriteAt(b, member.Capacity); err != nil {
		t.Fatal(err)
	}
}

// TestEachAloneIsAheadInOne: root and data come from one disk, though each of the two is ahead
// in one of them.
func TestEachAloneIsAheadInOne(t *testing.T) {
	m := newMachine(t)
	m.plug(t, 0, slots.Accepted(slots.A), 7, true)
	m.plug(t, 1, slots.Accepted(slots.A), 7, true)
	got, err := m.wait(t.Context(), func(context.Context) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	ahead := func(id uuid.UUID, file string) {
		for n := range got[id] {
			if filepath.Base(got[id][n].file) == file {
				got[id][n].member.Events += 10
			}
		}
	}
	ahead(m.want[0], "vda3")
	ahead(m.want[1], "vdb4")
	d := m.disks(got)
	for _, id := range m.want {
		if list := d.current(id); len(list) != 1 || !strings.HasPrefix(filepath.Base(list[0].file), "vdb") {
			t.Errorf("of %s, %+v count", id, list)
		}
	}
}

// TestRunsAs: why an array runs on one disk is told apart.
func TestRunsAs(t *testing.T) {
	for name, test := range map[string]struct {
		there int
		state md.State
		says  string
	}{
		"whole":           {2, md.State{Places: 2, Active: 2}, ""},
		"is being filled": {2, md.State{Places: 2, Active: 1, Filling: 1}, "until the kernel has made the other one the same"},
		"is missing":      {1, md.State{Places: 2, Active: 1}, "the other one is missing, and only /dev/vda3"},
		"was away":        {2, md.State{Places: 2, Active: 1}, "was away, and is out of date"},
	} {
		if got := runsAs("node1:mirror-a", "/dev/vda3", test.there, test.state); !strings.Contains(got, test.says) || (got == "") != (test.says == "") {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
