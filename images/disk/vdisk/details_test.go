//go:build linux

package vdisk

import (
	"encoding/binary"
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloudlets/images/disk/guest"
)

// TestAzureVHD looks at what Azure is particular about: whole MiB, then the
// footer with its checksum.
func TestAzureVHD(t *testing.T) {
	b := writeStream(t, "vhd-fixed", 3*mib, testOptions, content{size: 3 * mib}.feed)
	if len(b) != 3*mib+512 {
		t.Fatalf("%d bytes", len(b))
	}
	footer := b[3*mib:]
	sum := binary.BigEndian.Uint32(footer[64:])
	binary.BigEndian.PutUint32(footer[64:], 0)
	if want := vhdChecksum(footer); sum != want {
		t.Errorf("checksum %08x, want %08x", sum, want)
	}
	if string(footer[:8]) != "conectix" || binary.BigEndian.Uint64(footer[48:]) != 3*mib || binary.BigEndian.Uint32(footer[60:]) != vhdFixed {
		t.Errorf("footer %x", footer[:96])
	}
	if [16]byte(footer[68:84]) != testOptions.ID {
		t.Errorf("ID %x", footer[68:84])
	}
}

// TestVHDGeometry compares the geometry with that of disks that qemu-img
// makes. Their sizes are what their geometries give.
func TestVHDGeometry(t *testing.T) {
	for _, size := range []int64{sector, 3 * mib, 60 * mib, 100 * mib, 127 * mib, 300 * mib, 512 * mib, 10 * gib, 126 * gib, 127 * gib} {
		name := filepath.Join(t.TempDir(), "disk.vhd")
		run(t, "qemu-img", "create", "-q", "-f", "vpc", name, strconv.FormatInt(size, 10))
		footer := read(t, name)[:sector]
		made := int64(binary.BigEndian.Uint64(footer[48:]))
		c, h, s := vhdGeometry(made)
		if got := binary.BigEndian.AppendUint16(nil, c); string(append(got, h, s)) != string(footer[56:60]) {
			t.Errorf("%d bytes: %d/%d/%d, but qemu-img has %x", made, c, h, s, footer[56:60])
		}
	}
}

func TestVHDTime(t *testing.T) {
	for _, c := range []struct {
		time time.Time
		want uint32
	}{
		{time.Time{}, 0}, {time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), 0},
		{time.Date(2000, 1, 1, 0, 1, 0, 0, time.UTC), 60}, {time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), 1<<32 - 1},
	} {
		if got := vhdTime(c.time); got != c.want {
			t.Errorf("%v: %d, want %d", c.time, got, c.want)
		}
	}
}

// TestVMDKDescriptor reads what VMware reads of a disk first.
func TestVMDKDescriptor(t *testing.T) {
	for format, kind := range map[string]string{"vmdk": "streamOptimized", "vmdk-sparse": "monolithicSparse"} {
		b := read(t, write(t, format, 3*gib, testOptions, content{size: 3 * gib}.feed))
		text := strings.TrimRight(string(b[512:512+vmdkDescriptor]), "\x00")
		for _, line := range []string{
			"CID=c3d2e1f0", "parentCID=ffffffff", `createType="` + kind + `"`, `RW 6291456 SPARSE "disk.vmdk"`,
			`ddb.adapterType = "lsilogic"`, `ddb.geometry.cylinders = "391"`, `ddb.geometry.heads = "255"`, `ddb.geometry.sectors = "63"`,
			`ddb.longContentID = "0f1e2d3c4b5a49788796a5b4c3d2e1f0"`,
		} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("%s: no line %s in\n%s", format, line, text)
			}
		}
	}
	if got := vmdkCID([16]byte{12: 0xff, 13: 0xff, 14: 0xff, 15: 0xff}); got == "ffffffff" {
		t.Error("a CID that means that there is none")
	}
}

// TestIdentifiersAreTheDisks finds the ID where hypervisors show it.
func TestIdentifiersAreTheDisks(t *testing.T) {
	c := contents()["tiny"]
	want := string([]byte{0x3c, 0x2d, 0x1e, 0x0f, 0x5a, 0x4b, 0x78, 0x49, 0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2, 0xe1, 0xf0})
	vdi := read(t, write(t, "vdi", 512, testOptions, c.feed))
	if got := string(vdi[0x188:0x198]); got != want {
		t.Errorf("vdi: %x, want %x", got, want)
	}
	if change := string(vdi[0x198:0x1a8]); change == want || change == strings.Repeat("\x00", 16) {
		t.Errorf("vdi: last change %x", change)
	}
	vhdx := read(t, write(t, "vhdx", mib, testOptions, content{size: mib}.feed))
	if !strings.Contains(string(vhdx[vhdxMetadata+vhdxItems:vhdxMetadata+vhdxItems+100]), want) {
		t.Error("vhdx: the disk's ID is not in the metadata")
	}
}

func TestEC2Import(t *testing.T) {
	i := guest.EC2Import{Description: "Debian 12", Bucket: "disks", Key: "debian.raw"}
	snapshot, err := i.SnapshotJSON()
	if err != nil {
		t.Fatal(err)
	}
	image, err := i.ImageJSON()
	if err != nil {
		t.Fatal(err)
	}
	var one map[string]any
	var list []map[string]any
	if err := json.Unmarshal(snapshot, &one); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(image, &list); err != nil {
		t.Fatal(err)
	}
	bucket, _ := one["UserBucket"].(map[string]any)
	if one["Format"] != "RAW" || one["Description"] != "Debian 12" || bucket["S3Bucket"] != "disks" || bucket["S3Key"] != "debian.raw" {
		t.Errorf("snapshot: %s", snapshot)
	}
	if len(list) != 1 || list[0]["Format"] != "RAW" {
		t.Errorf("image: %s", image)
	}
	if _, err := (guest.EC2Import{Bucket: "disks"}).SnapshotJSON(); err == nil {
		t.Error("an import without a key is described")
	}
}
