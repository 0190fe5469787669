package hardware

import (
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/provision/hardware/hardwaretest"
)

func TestDiskThatBIOSStarts(t *testing.T) {
	const sata = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda"
	const twin = "pci0000:00/0000:00:1f.2/ata2/host1/target1:0:0/1:0:0:0/block/sdb"
	const raid = "pci0000:00/0000:03:00.0/host2/target2:0:0/2:0:0:0/block/sdc"
	signatures := map[string]uint32{"sda": 0x1111, "sdb": 0x2222, "sdc": 0}
	for name, c := range map[string]struct {
		edd  map[string]string
		pci  string
		want string
	}{
		"nothing known, as on UEFI":   {nil, "", ""},
		"by controller":               {map[string]string{"sectors": "2097152"}, "0000:03:00.0", "sdc"},
		"by signature":                {map[string]string{"sectors": "2097152", "mbr_signature": "0x00002222"}, "0000:00:1f.2", "sdb"},
		"by signature alone":          {map[string]string{"mbr_signature": "0x00001111"}, "", "sda"},
		"twins":                       {map[string]string{"sectors": "2097152"}, "0000:00:1f.2", "sda sdb"},
		"a drive that is no disk":     {map[string]string{"sectors": "4000"}, "", ""},
		"a size that BIOS cuts short": {map[string]string{"sectors": "4294967295"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			sys := hardwaretest.NewSys(t)
			for _, place := range []string{sata, twin, raid} {
				sys.Disk(t, place, map[string]string{"size": gib})
			}
			for file, value := range c.edd {
				sys.Write(t, filepath.Join(firstDrive, file), value+"\n")
			}
			if c.pci != "" {
				sys.Link(t, firstDrive+"/pci_dev", "devices/pci0000:00/"+c.pci)
			}
			disks, err := Disks(sys.FS())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range StartedByBIOS(sys.FS(), disks, func(name string) (uint32, bool) { s, ok := signatures[name]; return s, ok }) {
				got = append(got, d.Name)
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}
