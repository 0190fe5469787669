package bed_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
	"cloudlets/images/disk/disktest"
	"cloudlets/images/disk/slots"
	"cloudlets/testdata/bed"
	"cloudlets/testdata/powercut"
)

// versionFile is where a version of the small image has its name, and bytes that no other
// version has.
const versionFile = "usr/bin/version"

// changing are the files of the small image that are rendered for each machine.
var changing = []string{"etc/hostname", "etc/issue"}

// version is a variant of the small image.
type version struct {
	tarball string
	digests map[string][sha256.Size]byte // of its files, by path
}

type versions map[string]version

// newVersions makes variants of the small image, each under its name. Each has 4 MiB that
// the others do not have.
func newVersions(t *testing.T, names ...string) versions {
	t.Helper()
	made := versions{}
	dir := t.TempDir()
	for n, name := range names {
		content := bytes.NewBufferString(name + "\n")
		if _, err := io.CopyN(content, rand.NewChaCha8([32]byte{byte(n)}), 4<<20); err != nil {
			t.Fatal(err)
		}
		v := version{filepath.Join(dir, name+".tar"), map[string][sha256.Size]byte{}}
		if err := v.make(content.Bytes()); err != nil {
			t.Fatalf("make version %s of the small image: %v", name, err)
		}
		made[name] = v
	}
	return made
}

// make copies the small image, and adds the version's own file.
func (v version) make(own []byte) error {
	in, err := os.Open(small)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(v.tarball)
	if err != nil {
		return err
	}
	defer out.Close()
	from, to := tar.NewReader(in), tar.NewWriter(out)
	put := func(h *tar.Header, content []byte) error {
		if name := path.Clean(h.Name); h.Typeflag == tar.TypeReg && !slices.Contains(changing, name) {
			v.digests[name] = sha256.Sum256(content)
		}
		err := to.WriteHeader(h)
		if err == nil {
			_, err = to.Write(content)
		}
		return err
	}
	for {
		h, err := from.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(from)
		if err == nil {
			err = put(h, content)
		}
		if err != nil {
			return err
		}
	}
	for _, h := range says {
		if err := put(&h, nil); err != nil {
			return err
		}
	}
	return errors.Join(put(&tar.Header{Typeflag: tar.TypeReg, Name: "./" + versionFile, Mode: 0o644, Size: int64(len(own))}, own), to.Close())
}

// says are files for which the server gives a version a script that says that it runs. The
// small image's init calls nothing in them: the test does, when it wants to.
var says = []tar.Header{
	{Typeflag: tar.TypeDir, Name: "./etc/rc2.d/", Mode: 0o755},
	{Typeflag: tar.TypeSymlink, Name: "./usr/bin/wget", Linkname: "/bin/busybox"},
}

// tarballs are those of all versions, by name.
func (v versions) tarballs() map[string]string {
	list := map[string]string{}
	for name, one := range v {
		list[name] = one.tarball
	}
	return list
}

// wantWhole returns which version a directory has, all of whose files must be there as they
// were made.
func (v versions) wantWhole(dir string) (name string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	content, err := root.ReadFile(versionFile)
	if err != nil {
		return "", err
	}
	name, _, _ = strings.Cut(string(content[:min(len(content), 64)]), "\n")
	if len(v[name].digests) == 0 {
		return "", fmt.Errorf("/%s names the version %q", versionFile, name)
	}
	for file, want := range v[name].digests {
		content, err := root.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("version %s is not whole: %w", name, err)
		}
		if sha256.Sum256(content) != want {
			return "", fmt.Errorf("version %s is not whole: /%s has %d other bytes", name, file, len(content))
		}
	}
	return name, nil
}

// tape is what a machine that was updated wrote to its disk, and which versions it may have
// started at each moment.
type tape struct {
	versions versions
	disk     *powercut.Disk
	phases   []phase
	found    disk.Layout // once layout was called
}

// phase begins when the disk has got a number of requests.
type phase struct {
	from int
	may  []string
}

// scratch is a folder of the test's own, in memory where there is one: disks are copied there
// many times, and not even half full.
func scratch(t *testing.T) string {
	t.Helper()
	where := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		where = "/dev/shm"
	}
	dir, err := os.MkdirTemp(where, "powercut-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func newTape(t *testing.T, v versions) *tape {
	t.Helper()
	return newTapeOn(t, v, "")
}

// newTapeOn begins with a disk that has the content of a file.
func newTapeOn(t *testing.T, v versions, base string) *tape {
	t.Helper()
	d, err := powercut.New(scratch(t), base, diskSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return &tape{versions: v, disk: d}
}

// serve returns the disk as a machine takes it.
func (p *tape) serve(t *testing.T) bed.Disk {
	t.Helper()
	return serveDisk(t, p.disk)
}

// serveDisk gives a disk to a machine, until the test ends.
func serveDisk(t *testing.T, d *powercut.Disk) bed.Disk {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbd-*") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := powercut.Serve(d, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return bed.Disk{File: s.URL(), Serial: "NODE1", Flushes: true}
}

// mayStart says which versions the disk may start from now on.
func (p *tape) mayStart(names ...string) {
	p.phases = append(p.phases, phase{p.disk.Requests(), names})
}

// may returns which versions the disk may start after a cut at a request.
func (p *tape) may(at int) (names []string) {
	for _, one := range p.phases {
		if one.from <= at {
			names = one.may
		}
	}
	return names
}

// superblock is where an ext4 filesystem has its superblock, in bytes, and how long that is.
// Linux overwrites it in place when it mounts and unmounts, and mounts none with a wrong
// checksum. So ext4 itself, on any computer, relies on a disk that does not tear it.
const superblock = 1024

// layout is that of the disk, whose superblocks are not torn from now on.
func (p *tape) layout(t *testing.T) disk.Layout {
	t.Helper()
	if p.found.Size > 0 {
		return p.found
	}
	l, err := disk.FindSlots(p.disk, p.disk.Size(), powercut.Sector)
	if err != nil {
		t.Fatal(err)
	}
	p.found = l
	for _, part := range []disk.Partition{l.Root, l.Other, l.Persistent} {
		p.disk.Together(part.Offset+superblock, superblock)
	}
	return l
}

// near is how many requests before and after a change of the slots' state count as near it.
const near = 6

// cuts picks n power cuts at random: at any request, at any of a random phase, and near a
// change of the state of the slots, a third each.
func (p *tape) cuts(t *testing.T, n int, seed uint64) []powercut.Cut {
	t.Helper()
	esp := p.layout(t).ESP
	begin, end := p.phases[0].from, p.disk.Requests()
	changes := slices.DeleteFunc(p.disk.Touching(esp.Offset, esp.Size), func(at int) bool { return at < begin })
	if len(changes) < 3 {
		t.Fatalf("the state of the slots was changed %d times", len(changes))
	}
	r := rand.New(rand.NewPCG(seed, 0))
	cuts := make([]powercut.Cut, n)
	for i := range cuts {
		at := begin + r.IntN(end-begin)
		switch i % 3 {
		case 1:
			k := r.IntN(len(p.phases))
			from, to := p.phases[k].from, end
			if k+1 < len(p.phases) {
				to = p.phases[k+1].from
			}
			at = from + r.IntN(max(1, to-from))
		case 2:
			at = changes[r.IntN(len(changes))] + r.IntN(2*near+1) - near
		}
		cuts[i] = powercut.Cut{At: min(max(at, begin), end), Seed: r.Uint64() % 1e6}
	}
	return cuts
}

// restore writes a part of the disk, as it is after a cut, to a file in dir.
func (p *tape) restore(t *testing.T, dir string, c powercut.Cut, off, length int64) *os.File {
	t.Helper()
	f, err := os.CreateTemp(dir, "restored-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := p.disk.Restore(f, c, off, length); err != nil {
		t.Fatal(err)
	}
	return f
}

// survives looks at the disk after power cuts, without a boot: what its boot loader reads is
// as it was but for the state of the slots; the good slot has a whole version, and so has
// the one that would be started, which is one of those that it may be; and what is
// persistent is there.
func (p *tape) survives(t *testing.T, cuts int, seed uint64) {
	t.Helper()
	start := time.Now()
	l := p.layout(t)
	begin := powercut.Cut{At: p.phases[0].from}
	for _, part := range []struct {
		what        string
		off, length int64
	}{{"the partition table and the boot loader for BIOS", 0, l.ESP.Offset}, {"the partition table's copy", l.Size - 1<<20, 1 << 20}} {
		for _, at := range p.disk.Touching(part.off, part.length) {
			if at >= begin.At {
				t.Errorf("request %d of an update writes to %s", at, part.what)
			}
		}
	}
	t.Logf("the machine made %d requests, and its updates begin with number %d", p.disk.Requests(), begin.At)
	looked := map[string]string{} // what a partition has, by the mark of its content
	states := map[uint64]slots.State{}
	started := map[string]int{}
	esp := read(t, p.restore(t, scratch(t), begin, l.ESP.Offset, l.ESP.Size))
	for _, c := range p.cuts(t, cuts, seed) {
		mark := p.disk.Mark(c, l.ESP.Offset, l.ESP.Size)
		if _, known := states[mark]; !known {
			states[mark] = p.stateAfter(t, l, c, esp)
		}
		state := states[mark]
		look := func(part disk.Partition, what func(dir string) (string, error)) string {
			key := fmt.Sprintf("%d %x", part.Number, p.disk.Mark(c, part.Offset, part.Size))
			if _, known := looked[key]; !known {
				t.Run(fmt.Sprintf("cut %s, partition %d", c, part.Number), func(t *testing.T) {
					dir, done := disktest.Mount(t, p.restore(t, scratch(t), c, part.Offset, part.Size).Name(), "ext4", unix.MS_RDONLY)
					defer done()
					has, err := what(dir)
					if err != nil {
						t.Errorf("after power cut %s, with the slots in state %+v: %v", c, state, err)
					}
					looked[key] = has
				})
			}
			return looked[key]
		}
		look(l.In(state.Good).Root, p.versions.wantWhole)
		name := look(l.In(state.Started()).Root, p.versions.wantWhole)
		if !slices.Contains(p.may(c.At), name) {
			t.Errorf("after power cut %s the machine starts version %q, and may start %q", c, name, p.may(c.At))
		}
		started[name]++
		look(l.Persistent, wantNotes)
	}
	t.Logf("%d power cuts with seed %d leave %d states of the slots and %d contents of other partitions; started is %v; to look took %s", cuts, seed, len(states), len(looked), started, time.Since(start).Round(time.Second))
	for _, want := range []string{"first", "second", "third"} {
		if started[want] == 0 && cuts >= 100 {
			t.Errorf("of %d power cuts none starts %s: %v", cuts, want, started)
		}
	}
}

// installsWhole looks at the disk after power cuts during the first install, without a boot:
// it has no partition table, or all that it will have.
func (p *tape) installsWhole(t *testing.T, cuts int, seed uint64) {
	t.Helper()
	end := p.phases[0].from
	l := p.layout(t)
	table := slices.DeleteFunc(p.disk.Touching(0, l.BIOSBoot.Offset), func(at int) bool { return at >= end })
	r := rand.New(rand.NewPCG(seed, 1))
	bootable := 0
	looked := map[uint64]bool{}
	for i := range cuts {
		at := r.IntN(end)
		if i%2 == 0 {
			at = min(max(0, table[r.IntN(len(table))]+r.IntN(2*near+1)-near), end)
		}
		c := powercut.Cut{At: at, Seed: r.Uint64() % 1e6}
		mark := p.disk.Mark(c, 0, l.Size)
		if looked[mark] {
			continue
		}
		looked[mark] = true
		f := p.restore(t, scratch(t), c, 0, l.Size)
		if _, err := disk.FindSlots(f, l.Size, powercut.Sector); errors.Is(err, disk.ErrNoSlots) {
			os.Remove(f.Name())
			continue
		}
		bootable++
		t.Run("first install cut "+c.String(), func(t *testing.T) {
			if state, err := slots.Read(f, l.ESP.Offset); err != nil || state != slots.Accepted(slots.A) {
				t.Errorf("a disk with a partition table has the slots in state %+v (%v)", state, err)
			}
			dir, done := disktest.Mount(t, p.restore(t, scratch(t), c, l.Root.Offset, l.Root.Size).Name(), "ext4", unix.MS_RDONLY)
			defer done()
			if name, err := p.versions.wantWhole(dir); err != nil || name != "first" {
				t.Errorf("a disk with a partition table has version %q: %v", name, err)
			}
		})
		os.Remove(f.Name())
	}
	if bootable == 0 || bootable == len(looked) {
		t.Errorf("of %d disks after power cuts, %d have a partition table", len(looked), bootable)
	}
	t.Logf("%d power cuts during the first install leave %d different disks, of which %d have a partition table", cuts, len(looked), bootable)
}

// stateAfter is that of the slots after a cut. Nothing else on the EFI system partition,
// which was esp, has changed.
func (p *tape) stateAfter(t *testing.T, l disk.Layout, c powercut.Cut, esp []byte) slots.State {
	t.Helper()
	f := p.restore(t, scratch(t), c, l.ESP.Offset, l.ESP.Size)
	defer os.Remove(f.Name())
	state, err := slots.Read(f, 0)
	if err != nil {
		t.Fatalf("after power cut %s: %v", c, err)
	}
	now := read(t, f)
	const block = 1024
	if at := bytes.Index(esp, slots.Accepted(slots.A).Block()); at < 0 || !bytes.Equal(now[:at], esp[:at]) || !bytes.Equal(now[at+block:], esp[at+block:]) {
		t.Errorf("power cut %s changes the EFI system partition beside the state of the slots", c)
	}
	return state
}

func read(t *testing.T, f *os.File) []byte {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// notes is what the persistent file has that the first system wrote to.
const notes = "what the image has\nwhat was added\n"

// wantNotes looks for it on the persistent partition.
func wantNotes(dir string) (string, error) {
	content, err := os.ReadFile(filepath.Join(dir, "content", "root", "notes"))
	if err == nil && string(content) != notes {
		err = fmt.Errorf("the persistent file is %q", content)
	}
	return string(content), err
}
