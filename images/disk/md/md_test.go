package md_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/disk/md"
	"cloudlets/testdata/needs"
)

// device is a device in memory that is empty up to its last 128 KiB.
type device struct {
	size int64
	end  []byte
}

func newDevice(size int64) *device { return &device{size, make([]byte, 128<<10)} }

func (d *device) at(off int64) []byte { return d.end[off-(d.size-int64(len(d.end))):] }

func (d *device) WriteAt(p []byte, off int64) (int, error) { return copy(d.at(off), p), nil }
func (d *device) ReadAt(p []byte, off int64) (int, error)  { return copy(p, d.at(off)), nil }

func identity() md.Identity {
	return md.Identity{
		ID: uuid.MustParse("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"), Name: "node1:root", Created: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		Devices: []uuid.UUID{uuid.MustParse("00000000-0000-4000-8000-000000000001"), uuid.MustParse("00000000-0000-4000-8000-000000000002")},
	}
}

// mirror is a new mirror of two members.
func mirror(t *testing.T, sizes ...int64) []md.Member {
	t.Helper()
	members, err := md.Mirror(identity(), sizes)
	if err != nil {
		t.Fatal(err)
	}
	return members
}

// TestMirror pins what a new array is, of devices that are not equal.
func TestMirror(t *testing.T) {
	const small, large = 64<<20 + 3*512, 100 << 20
	members := mirror(t, large, small)
	for place, m := range members {
		if m.Role() != md.Role(place) || m.Number != place || !m.Clean() || m.Missing() != nil || m.Places != 2 || m.Level != 1 {
			t.Errorf("member %d is %s: %+v", place, m, m)
		}
		if room, err := md.Room(small); err != nil || m.Size != room {
			t.Errorf("the array has %d bytes, and the smaller device has room for %d (%v)", m.Size, room, err)
		}
	}
	// 8 KiB and what is no whole page stay behind the superblock's 4 KiB.
	if at := int64(64<<20 - 8<<10); members[1].Capacity != at || members[1].Size != at-128<<10 {
		t.Errorf("it has %d bytes of %d", members[1].Size, members[1].Capacity)
	}
}

// TestMirrorOfNothing: what cannot be written is refused, and says why.
func TestMirrorOfNothing(t *testing.T) {
	for want, change := range map[string]func(id *md.Identity, sizes *[]int64){
		"0 members":        func(_ *md.Identity, sizes *[]int64) { *sizes = nil },
		"1 members":        func(_ *md.Identity, sizes *[]int64) { *sizes = (*sizes)[:1] },
		"must have":        func(_ *md.Identity, sizes *[]int64) { (*sizes)[1] = md.MinDevice - 1 },
		"longer than 32":   func(id *md.Identity, _ *[]int64) { id.Name = strings.Repeat("n", 33) },
		"control":          func(id *md.Identity, _ *[]int64) { id.Name = "a\nb" },
		"has no UUID":      func(id *md.Identity, _ *[]int64) { id.ID = uuid.Nil },
		"device has no":    func(id *md.Identity, _ *[]int64) { id.Devices[1] = uuid.Nil },
		"times are before": func(id *md.Identity, _ *[]int64) { id.Created = time.Time{} },
	} {
		id, sizes := identity(), []int64{64 << 20, 64 << 20}
		change(&id, &sizes)
		if _, err := md.Mirror(id, sizes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

// random is a member with anything in it that can be written.
func random(r *rand.Rand, size int64) md.Member {
	id := func() (id uuid.UUID) {
		for i := range id {
			id[i] = byte(1 + r.IntN(255))
		}
		return id
	}
	room, _ := md.Room(size)
	m := md.Member{
		Array: md.Array{
			ID: id(), Name: strings.Repeat("n", r.IntN(md.MaxName+1)), Level: 1, Size: 512 * (1 + r.Int64N(room/512)), Places: 1 + r.IntN(8),
			Created: time.UnixMicro(r.Int64N(1 << 50)).UTC(),
		},
		Device: id(), Number: r.IntN(384), Capacity: room, Updated: time.UnixMicro(r.Int64N(1 << 50)).UTC(), Events: r.Uint64(), Synced: md.AllSynced,
	}
	if r.IntN(2) == 0 {
		m.Synced = 512 * r.Int64N(1<<40)
	}
	for range r.IntN(383) {
		m.Roles = append(m.Roles, []md.Role{md.Role(r.IntN(8)), md.Spare, md.Faulty, md.Journal}[r.IntN(4)])
	}
	m.Roles = append(m.Roles, md.Faulty) // spares at the end are not told from none
	return m
}

// TestWriteRead: what was written is read, whatever it is.
func TestWriteRead(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		d := newDevice(md.MinDevice + 512*r.Int64N(1<<32))
		want := random(r, d.size)
		if err := md.Write(d, d.size, want); err != nil {
			t.Fatal(err)
		}
		got, err := md.Read(d, d.size)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("of %#v came %#v, %v", want, got, err)
		}
	}
}

// TestDamage: no byte of a superblock changes without being noticed.
func TestDamage(t *testing.T) {
	d := newDevice(64 << 20)
	m := mirror(t, d.size, d.size)[0]
	if err := md.Write(d, d.size, m); err != nil {
		t.Fatal(err)
	}
	at := d.at(m.Capacity)
	for i := range 256 + 2*384 {
		at[i] ^= 0x10
		if _, err := md.Read(d, d.size); err == nil {
			t.Errorf("byte %d was changed, and that was not noticed", i)
		}
		at[i] ^= 0x10
	}
}

// TestElsewhere: a superblock is not one of a device that begins at the same place and is
// longer, nor one that was copied to another place.
func TestElsewhere(t *testing.T) {
	d := newDevice(64 << 20)
	m := mirror(t, d.size, d.size)[0]
	if err := md.Write(d, d.size, m); err != nil {
		t.Fatal(err)
	}
	if _, err := md.Read(newDevice(d.size), d.size); !errors.Is(err, md.ErrNoMember) {
		t.Errorf("an empty device: %v", err)
	}
	if _, err := md.Read(bytes.NewReader(make([]byte, 4096)), 4096); !errors.Is(err, md.ErrNoMember) {
		t.Errorf("a device of a page: %v", err)
	}
	copied := newDevice(65 << 20)
	copy(copied.end, d.end)
	if _, err := md.Read(copied, copied.size); err == nil || errors.Is(err, md.ErrNoMember) || !strings.Contains(err.Error(), "it says that it is at sector") {
		t.Errorf("a copy: %v", err)
	}
}

// files writes the members of an array into files, which are its devices.
func files(t *testing.T, members []md.Member, sizes ...int64) []string {
	t.Helper()
	var names []string
	for place, m := range members {
		name := filepath.Join(t.TempDir(), "member")
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(sizes[place]), md.Write(f, sizes[place], m), f.Close()); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// TestExamine has Debian's mdadm read what was written.
func TestExamine(t *testing.T) {
	mdadm := needs.Made(t, "../../../bin/mdadm/sbin/mdadm", "bin/mdadm")
	const small, large = 64 << 20, 65<<20 + 512
	for place, file := range files(t, mirror(t, small, large), small, large) {
		out, err := exec.CommandContext(t.Context(), mdadm, "--examine", file).CombinedOutput()
		if err != nil {
			t.Fatalf("mdadm --examine: %v: %s", err, out)
		}
		for _, want := range []string{
			`Version : 1\.0`, `Array UUID : 0f1e2d3c:4b5a6978:8796a5b4:c3d2e1f0`, `Name : node1:root`, `Raid Level : raid1`, `Raid Devices : 2`,
			`Array Size : 65400 KiB`, `State : clean`, `Device UUID : 00000000:00004000:80000000:0000000` + string(rune('1'+place)),
			`Checksum : [0-9a-f]+ - correct`, `Events : 1`, `Device Role : Active device ` + string(rune('0'+place)), `Array State : AA`,
		} {
			if !regexp.MustCompile(want).Match(out) {
				t.Errorf("mdadm does not say %q of member %d:\n%s", want, place, out)
			}
		}
	}
}

// TestReadForeign reads what mdadm 4.2 of Debian 12 made on the second of two devices of
// 8 MiB, by --create --metadata=1.0 --level=1 --raid-devices=2 --homehost=debian
// --name=made --bitmap=none --assume-clean: the begin of its superblock. The spares that
// follow are all ones.
func TestReadForeign(t *testing.T) {
	const size, captured = 8 << 20, "/E4rqQEAAAAAAAAAAAAAAP3N6Z/yBPBb3VA9yuDmPdxkZWJpYW46bWFkZQAAAAAAAAAAAAAAAAAAAAAAAAAAAC/ZDGsAAAAAAQAAAAAAAACA" +
		"PwAAAAAAAAAAAAACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAOA/AAAAAAAA8D8AAAAAAAAAAAAAAAAAAAEAAAAAAAAAWN3htD00W85N" +
		"jQDPZUBXvQAACAD4////L9kMawAAAAAAAAAAAAAAAP//////////SeM6CIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQD///////////////8="
	begin, err := base64.StdEncoding.DecodeString(captured)
	if err != nil {
		t.Fatal(err)
	}
	d := newDevice(size)
	at := d.at(size - 8<<10)[:4096]
	copy(at, bytes.Repeat([]byte{0xff}, len(at)))
	copy(at, begin)
	got, err := md.Read(d, size)
	want := md.Member{
		Array: md.Array{
			ID: uuid.MustParse("fdcde99f-f204-f05b-dd50-3dcae0e63ddc"), Name: "debian:made", Level: 1, Size: 8128 << 10, Places: 2,
			Created: time.Unix(1796004143, 0).UTC(),
		},
		Device: uuid.MustParse("58dde1b4-3d34-5bce-4d8d-00cf654057bd"), Number: 1, Roles: []md.Role{0, 1}, Capacity: 8176 << 10,
		Updated: time.Unix(1796004143, 0).UTC(), Synced: md.AllSynced,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %#v, %v", got, err)
	}
	if got.Role() != 1 || !got.Clean() || got.Missing() != nil {
		t.Errorf("it is %s", got)
	}
}

// FuzzRead: nothing makes Read panic, and what it understands and can be written is the
// same when it is read again.
func FuzzRead(f *testing.F) {
	const size = 1 << 20
	members, err := md.Mirror(identity(), []int64{size, size})
	if err != nil {
		f.Fatal(err)
	}
	d := newDevice(size)
	if err := md.Write(d, size, members[1]); err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(d.at(members[1].Capacity)[:4096]))
	f.Fuzz(func(t *testing.T, superblock []byte) {
		d := newDevice(size)
		copy(d.at(members[1].Capacity), superblock)
		md.Mend(d.at(members[1].Capacity)) // or the checksum would end nearly all of them
		m, err := md.Read(d, size)
		if err != nil {
			return
		}
		_, _, _ = m.String(), m.Missing(), m.Role()
		again := newDevice(size)
		if md.Write(again, size, m) != nil {
			return // it has what is not written
		}
		if got, err := md.Read(again, size); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("of %#v came %#v, %v", m, got, err)
		}
	})
}
