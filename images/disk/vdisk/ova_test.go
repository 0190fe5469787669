//go:build linux

package vdisk

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/images/disk/guest"
)

// member is a file in a tar.
type member struct {
	*tar.Header
	content []byte
}

func members(t *testing.T, r io.Reader) []member {
	t.Helper()
	var list []member
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, member{h, content})
	}
}

// makeOVA returns the members of a small machine's archive.
func makeOVA(t *testing.T, m guest.Machine) []member {
	t.Helper()
	o := testOptions
	o.Machine = m
	c := content{3 * mib, []extent{{mib, text(100 * kib)}}}
	return members(t, bytes.NewReader(read(t, write(t, "ova", c.size, o, c.feed))))
}

// TestOVAMembers pins the order that OVF asks for, and checks the checksums.
func TestOVAMembers(t *testing.T) {
	list := makeOVA(t, guest.Machine{Name: "web-1"})
	var names []string
	for _, m := range list {
		names = append(names, m.Name)
		if m.Format != tar.FormatUSTAR || m.Mode != 0o644 || m.Uid != 0 || !m.ModTime.Equal(testOptions.Time) {
			t.Errorf("%s: format %v, mode %o, owner %d, time %v", m.Name, m.Format, m.Mode, m.Uid, m.ModTime)
		}
	}
	if got := strings.Join(names, " "); got != "web-1.ovf web-1.mf web-1-disk1.vmdk" {
		t.Fatalf("members are %s", got)
	}
	want := fmt.Sprintf("SHA256(web-1.ovf)= %x\nSHA256(web-1-disk1.vmdk)= %x\n",
		sha256.Sum256(list[0].content), sha256.Sum256(list[2].content))
	if string(list[1].content) != want {
		t.Errorf("manifest:\n%swant:\n%s", list[1].content, want)
	}
}

// envelope is what importers look for in a descriptor.
type envelope struct {
	File struct {
		ID   string `xml:"id,attr"`
		Href string `xml:"href,attr"`
		Size int64  `xml:"size,attr"`
	} `xml:"References>File"`
	Disk struct {
		ID        string `xml:"diskId,attr"`
		File      string `xml:"fileRef,attr"`
		Capacity  int64  `xml:"capacity,attr"`
		Units     string `xml:"capacityAllocationUnits,attr"`
		Populated int64  `xml:"populatedSize,attr"`
		Format    string `xml:"format,attr"`
	} `xml:"DiskSection>Disk"`
	Network struct {
		Name string `xml:"name,attr"`
	} `xml:"NetworkSection>Network"`
	Items []struct {
		ID         int
		Type       int    `xml:"ResourceType"`
		Subtype    string `xml:"ResourceSubType"`
		Quantity   int    `xml:"VirtualQuantity"`
		Connection string
		Host       string `xml:"HostResource"`
		Parent     int
		InstanceID int
	} `xml:"VirtualSystem>VirtualHardwareSection>Item"`
	Config struct {
		Key   string `xml:"key,attr"`
		Value string `xml:"value,attr"`
	} `xml:"VirtualSystem>VirtualHardwareSection>Config"`
}

func TestOVADescribesTheMachine(t *testing.T) {
	list := makeOVA(t, guest.Machine{
		Name: "db", CPUs: 4, MemoryMiB: 8192, Firmware: "bios", Controller: "sata", NIC: "vmxnet3", Network: `a "<b>" & c`,
	})
	var e envelope
	if err := xml.Unmarshal(list[0].content, &e); err != nil {
		t.Fatal(err)
	}
	if e.File.Href != "db-disk1.vmdk" || e.File.Size != list[2].Size || e.Disk.File != e.File.ID {
		t.Errorf("file %+v of disk %+v; the archive's has %d bytes", e.File, e.Disk, list[2].Size)
	}
	if e.Disk.Capacity != 3*mib || e.Disk.Units != "byte" || e.Disk.Populated != 128*kib || !strings.HasSuffix(e.Disk.Format, "#streamOptimized") {
		t.Errorf("disk %+v", e.Disk)
	}
	if e.Network.Name != `a "<b>" & c` || e.Config.Key != "firmware" || e.Config.Value != "bios" {
		t.Errorf("network %+v, config %+v", e.Network, e.Config)
	}
	const cpu, memory, sata, disk, card = 0, 1, 2, 3, 4
	if i := e.Items[cpu]; i.Type != 3 || i.Quantity != 4 {
		t.Errorf("CPUs %+v", i)
	}
	if i := e.Items[memory]; i.Type != 4 || i.Quantity != 8192 {
		t.Errorf("memory %+v", i)
	}
	if i := e.Items[sata]; i.Type != 20 || i.Subtype != "vmware.sata.ahci" {
		t.Errorf("controller %+v", i)
	}
	if i := e.Items[disk]; i.Type != 17 || i.Host != "ovf:/disk/"+e.Disk.ID || i.Parent != e.Items[sata].InstanceID {
		t.Errorf("disk %+v", i)
	}
	if i := e.Items[card]; i.Type != 10 || i.Subtype != "VmxNet3" || i.Connection != e.Network.Name {
		t.Errorf("network card %+v", i)
	}
}

func TestOVADescriptorIsXML(t *testing.T) {
	for _, m := range []guest.Machine{{}, {Controller: "sata", Network: "<&>\"'\x00"}} {
		name := filepath.Join(t.TempDir(), "machine.ovf")
		if err := os.WriteFile(name, makeOVA(t, m)[0].content, 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, "xmllint", "--noout", "--nonet", name)
	}
}

func TestOVARefusesMachines(t *testing.T) {
	for _, m := range []guest.Machine{
		{Name: "../x"}, {Name: ".x"}, {Name: "a b"}, {Name: "ä"}, {Name: strings.Repeat("x", 81)},
		{CPUs: -1}, {MemoryMiB: -1}, {Firmware: "uefi"}, {Controller: "ide"}, {NIC: "ne2000"},
	} {
		if _, err := New("ova", create(t, "x"), mib, Options{Machine: m}); err == nil {
			t.Errorf("machine %+v is taken", m)
		}
	}
}

// TestLargeMembers: sizes that POSIX's header cannot hold are written in the
// way of GNU, and read back.
func TestLargeMembers(t *testing.T) {
	for _, size := range []int64{ustarLimit - 1, ustarLimit, 3 * tib} {
		header, err := ustarHeader("disk.vmdk", size, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		h, err := tar.NewReader(bytes.NewReader(header)).Next()
		if err != nil || h.Size != size || len(header) != sector {
			t.Errorf("%d bytes are read as %+v, %v, from %d bytes of header", size, h, err, len(header))
		}
	}
}
