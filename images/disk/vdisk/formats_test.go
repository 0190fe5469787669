//go:build linux

package vdisk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"cloudlets/images/disk/sparse"
)

// qemuName is what qemu-img calls a format, and whether it can check it.
var qemuName = map[string]struct {
	name   string
	checks bool
}{
	"raw": {"raw", false}, "ec2": {"raw", false},
	"qcow2": {"qcow2", true}, "vdi": {"vdi", true}, "vhdx": {"vhdx", true},
	"vmdk": {"vmdk", true}, "vmdk-sparse": {"vmdk", true}, "ova": {"vmdk", true},
	"vhd": {"vpc", false}, "vhd-fixed": {"vpc", false},
}

// contents are disks of all sorts. Sizes are what formats round.
func contents() map[string]content {
	return map[string]content{
		"tiny":  {512, []extent{{0, []byte("x")}}},
		"zeros": {70 * mib, nil},
		"written zeros and odd borders": {7*mib + 3*sector, []extent{
			{7, text(100)},
			{64*kib - 1, noise(1, 2)},
			{mib + 5*sector, make([]byte, mib)},
			{3*mib - 700, text(2 * mib)},
			{6*mib + 512, noise(2, 300*kib)},
			{7*mib + 3*sector - 1, []byte{0xff}},
		}},
		"dense noise": {5*mib + sector, []extent{{0, noise(3, 5*mib+sector)}}},
		"over 4 GiB": {5*gib + 9*sector, []extent{
			{0, text(200 * kib)},
			{512*mib - 100*kib, noise(4, 200*kib)},
			{4*gib - sector, noise(5, mib)},
			{5*gib + 8*sector, noise(6, sector)},
		}},
	}
}

// TestForeignToolsReadIt has qemu-img check every format with every content,
// compare it with the raw disk, and tell its size.
func TestForeignToolsReadIt(t *testing.T) {
	for name, c := range contents() {
		for _, f := range Formats() {
			if f.Name == "gce" {
				continue // qemu-img cannot look into it: see TestGCE
			}
			t.Run(f.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				testForeign(t, f, c, testOptions)
			})
		}
	}
}

// window names 4 MiB of a disk to qemu-img.
func window(format, file string, from int64) string {
	return fmt.Sprintf("driver=raw,offset=%d,size=%d,file.driver=%s,file.file.filename=%s", from, 4*mib, format, file)
}

func TestForeignToolsReadCompressedQcow2(t *testing.T) {
	f, _ := Lookup("qcow2")
	for name, c := range contents() {
		for _, compression := range []Compression{Zlib, Zstd} {
			t.Run(string(compression)+"/"+name, func(t *testing.T) {
				t.Parallel()
				o := testOptions
				o.Compression = compression
				testForeign(t, f, c, o)
			})
		}
	}
}

// TestForeignToolsReadVHDXBlocks has the smallest blocks and the usual ones;
// TestLongForeignToolsReadVHDXBlocks has those between them.
func TestForeignToolsReadVHDXBlocks(t *testing.T) { readVHDXBlocks(t, mib, 32*mib) }

func readVHDXBlocks(t *testing.T, sizes ...int64) {
	t.Helper()
	f, _ := Lookup("vhdx")
	for _, size := range sizes {
		t.Run(fmt.Sprint(size/mib), func(t *testing.T) {
			t.Parallel()
			o := testOptions
			o.BlockSize = size
			// With blocks of 1 MiB, 4 GiB have their own sector bitmap's entry.
			testForeign(t, f, contents()["over 4 GiB"], o)
		})
	}
}

func testForeign(t *testing.T, f Format, c content, o Options) {
	c.size = sizeFor(t, f, c.size)
	raw := write(t, "raw", c.size, o, c.feed)
	file := diskIn(t, f.Name, write(t, f.Name, c.size, o, c.feed))
	check(t, f, c.size, file)
	qemu := qemuName[f.Name].name
	if c.size <= gib {
		run(t, "qemu-img", "compare", "-q", "-f", "raw", "-F", qemu, raw, file)
		return
	}
	// Of most formats qemu-img would read every zero: look where something is.
	for _, e := range c.extents {
		from := max(0, min(c.size-4*mib, e.off-2*mib))
		run(t, "qemu-img", "compare", "-q", "--image-opts", window("raw", raw, from), window(qemu, file, from))
	}
}

// check has qemu-img check a disk, where it can, and tell its size.
func check(t *testing.T, f Format, size int64, file string) {
	t.Helper()
	qemu := qemuName[f.Name]
	if qemu.checks {
		run(t, "qemu-img", "check", "-q", "-f", qemu.name, file)
	}
	var info struct {
		Size int64 `json:"virtual-size"`
	}
	if err := json.Unmarshal(run(t, "qemu-img", "info", "-f", qemu.name, "--output", "json", file), &info); err != nil {
		t.Fatal(err)
	}
	if info.Size != size {
		t.Errorf("qemu-img says that the disk has %d bytes, want %d", info.Size, size)
	}
}

// diskIn returns the disk that is in a container, unpacked where that is an
// archive.
func diskIn(t *testing.T, format, file string) string {
	t.Helper()
	if format != "ova" {
		return file
	}
	run(t, "tar", "-xf", file, "-C", filepath.Dir(file), "cloudlet-disk1.vmdk")
	return filepath.Join(filepath.Dir(file), "cloudlet-disk1.vmdk")
}

// TestSecondReaderAgrees reads every format that 7-Zip knows with that: what
// one reader lets pass another may not.
func TestSecondReaderAgrees(t *testing.T) {
	names := map[string]string{
		"qcow2": "QCOW", "vmdk": "VMDK", "vmdk-sparse": "VMDK", "vdi": "VDI",
		"vhd": "VHD", "vhd-fixed": "VHD", "vhdx": "VHDX",
	}
	c := contents()["written zeros and odd borders"]
	for format, kind := range names {
		t.Run(format, func(t *testing.T) {
			f, _ := Lookup(format)
			c := content{sizeFor(t, f, c.size), c.extents}
			file := write(t, format, c.size, testOptions, c.feed)
			got := run(t, "7zz", "e", "-so", "-t"+kind, file)
			want := writeStream(t, "raw", c.size, testOptions, c.feed)
			if !bytes.Equal(got, want) {
				t.Errorf("7-Zip reads %d bytes that differ from the disk's %d", len(got), len(want))
			}
		})
	}
}

// TestCutsDoNotMatter writes the same disk in pieces of random length, with
// its zeros written or skipped: the container is the same, byte for byte.
func TestCutsDoNotMatter(t *testing.T) {
	c := contents()["written zeros and odd borders"]
	for _, f := range Formats() {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			c := content{sizeFor(t, f, c.size), c.extents}
			runs := 5
			if f.Name == "gce" {
				runs = 1 // a gibibyte each
			}
			o := testOptions
			o.BlockSize = mib
			want := read(t, write(t, f.Name, c.size, o, c.feed))
			for seed := range uint64(runs) {
				dice := rand.New(rand.NewPCG(seed, 2))
				o.Workers = 3 - int(seed%3)
				got := read(t, write(t, f.Name, c.size, o, func(w sparse.Writer) error { return c.feedCut(w, dice) }))
				if !bytes.Equal(got, want) {
					t.Fatalf("pieces of seed %d give another container", seed)
				}
			}
		})
	}
}

// TestCompressedCutsDoNotMatter is the same for a compressed qcow2.
func TestCompressedCutsDoNotMatter(t *testing.T) {
	c := contents()["written zeros and odd borders"]
	for _, compression := range []Compression{Zlib, Zstd} {
		o := testOptions
		o.Compression = compression
		want := read(t, write(t, "qcow2", c.size, o, c.feed))
		for seed := range uint64(6) {
			o.Workers = 1 + int(seed%3)
			dice := rand.New(rand.NewPCG(seed, 3))
			got := read(t, write(t, "qcow2", c.size, o, func(w sparse.Writer) error { return c.feedCut(w, dice) }))
			if !bytes.Equal(got, want) {
				t.Fatalf("%s: pieces of seed %d give another container", compression, seed)
			}
		}
	}
}

// TestStreamIsTheFile writes what streams to a pipe and to a file.
func TestStreamIsTheFile(t *testing.T) {
	c := contents()["written zeros and odd borders"]
	for _, f := range Formats() {
		if !f.Streams {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			c := content{sizeFor(t, f, c.size), c.extents}
			if !bytes.Equal(writeStream(t, f.Name, c.size, testOptions, c.feed), read(t, write(t, f.Name, c.size, testOptions, c.feed))) {
				t.Error("the stream and the file differ")
			}
		})
	}
}

// TestIdentityShows finds another ID or time in what has a place for it.
func TestIdentityShows(t *testing.T) {
	c := contents()["tiny"]
	other := testOptions
	other.ID[15]++
	later := testOptions
	later.Time = later.Time.AddDate(1, 0, 0)
	shows := map[string]struct{ id, time bool }{
		"raw": {}, "ec2": {}, "qcow2": {}, "gce": {time: true},
		"vmdk": {id: true}, "vmdk-sparse": {id: true}, "vdi": {id: true}, "vhdx": {id: true},
		"vhd": {true, true}, "vhd-fixed": {true, true}, "ova": {true, true},
	}
	for _, f := range Formats() {
		c := content{sizeFor(t, f, c.size), c.extents}
		bytesOf := func(o Options) []byte { return read(t, write(t, f.Name, c.size, o, c.feed)) }
		want, plain := shows[f.Name], bytesOf(testOptions)
		if got := !bytes.Equal(plain, bytesOf(other)); got != want.id {
			t.Errorf("%s: another ID makes a difference: %v, want %v", f.Name, got, want.id)
		}
		if got := !bytes.Equal(plain, bytesOf(later)); got != want.time {
			t.Errorf("%s: another time makes a difference: %v, want %v", f.Name, got, want.time)
		}
	}
}

// TestHolesTakeNoRoom looks at how much of the disk's file is there.
func TestHolesTakeNoRoom(t *testing.T) {
	c := content{100 * gib, []extent{{50 * gib, noise(9, mib)}}}
	for _, f := range Formats() {
		if f.Name == "gce" {
			continue // no holes in a gzip
		}
		t.Run(f.Name, func(t *testing.T) {
			if used := usage(t, write(t, f.Name, c.size, testOptions, c.feed)); used > 3*mib {
				t.Errorf("a disk with 1 MiB on it takes %d KiB", used/kib)
			}
		})
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
