package provision_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"

	"cloudlets/provision"
)

func bench() (nvme, sata, spin, stick provision.DiskInfo) {
	nvme = provision.DiskInfo{Name: "nvme0n1", Serial: "S4EWNX0", WWN: "eui.0025385b", Model: "Samsung SSD 970", Size: 500e9, Transport: "nvme", ByPath: "pci-0000:01:00.0-nvme-1"}
	sata = provision.DiskInfo{Name: "sda", Serial: "  ZA1  ", WWN: "naa.5000c500a1", Model: "ST4000", Size: 4e12, Transport: "sata", Rotational: true, ByPath: "pci-0000:00:1f.2-ata-1"}
	spin = provision.DiskInfo{Name: "sdb", Serial: "ZA2", WWN: "naa.5000c500a2", Model: "ST4000", Size: 4e12, Transport: "sata", Rotational: true, ByPath: "pci-0000:00:1f.2-ata-2"}
	stick = provision.DiskInfo{Name: "sdc", Serial: "STICK1", Model: "Ultra Fit", Size: 32e9, Transport: "usb", Removable: true, ByPath: "pci-0000:00:14.0-usb-0:2"}
	return
}

func TestSelectDisk(t *testing.T) {
	nvme, sata, spin, stick := bench()
	usbHarddisk := provision.DiskInfo{Name: "sdd", Serial: "E1", Size: 2e12, Transport: "usb"}
	frozen := nvme
	frozen.ReadOnly = true
	reader := provision.DiskInfo{Name: "sde", Serial: "R1", Model: "Card Reader"}
	yes, no := true, false
	all := []provision.DiskInfo{nvme, sata, spin, stick}
	card := provision.DiskInfo{Name: "mmcblk0", Size: 32e9, Transport: "mmc", Removable: true}
	path1 := provision.DiskInfo{Name: "sdf", Serial: "L1", WWN: "naa.6001405aa", Size: 1e12, Transport: "fc", ByPath: "pci-0000:03:00.0-fc-0x50-lun-0"}
	path2, other := path1, path1
	path2.Name, path2.ByPath = "sdg", "pci-0000:03:00.1-fc-0x51-lun-0"
	other.Name, other.Serial, other.WWN = "sdh", "L2", "naa.6001405bb"
	zeros1, zeros2 := path1, path2
	zeros1.WWN, zeros2.WWN = "eui.0000000000000000", "eui.0000000000000000"

	for name, c := range map[string]struct {
		hints provision.DiskHints
		disks []provision.DiskInfo
		want  string // the disk's name, or what the error says
		err   error
	}{
		"the only disk":                          {provision.DiskHints{}, all[:1], "nvme0n1", nil},
		"the only disk beside a stick":           {provision.DiskHints{}, []provision.DiskInfo{stick, nvme}, "nvme0n1", nil},
		"the only disk beside a USB disk":        {provision.DiskHints{}, []provision.DiskInfo{usbHarddisk, nvme}, "nvme0n1", nil},
		"nothing but a stick":                    {provision.DiskHints{}, []provision.DiskInfo{stick}, "removable or on USB", provision.ErrNoDisk},
		"nothing but a read-only disk":           {provision.DiskHints{}, []provision.DiskInfo{frozen}, "read-only", provision.ErrNoDisk},
		"no disk at all":                         {provision.DiskHints{}, nil, "check its controller", provision.ErrNoDisk},
		"an empty card reader":                   {provision.DiskHints{}, []provision.DiskInfo{reader}, "no medium", provision.ErrNoDisk},
		"two without hints":                      {provision.DiskHints{}, all[:2], `"serial": "S4EWNX0"`, provision.ErrSeveralDisks},
		"by serial":                              {provision.DiskHints{Serial: "ZA1"}, all, "sda", nil},
		"by serial, other case":                  {provision.DiskHints{Serial: "za2"}, all, "sdb", nil},
		"a serial is not a prefix":               {provision.DiskHints{Serial: "ZA"}, all, `serial is "ZA2", the hint says "ZA"`, provision.ErrNoDisk},
		"a blank serial matches no disk":         {provision.DiskHints{Serial: " "}, []provision.DiskInfo{{Name: "vda", Size: 1e10}}, "has no serial", provision.ErrNoDisk},
		"a stick by serial":                      {provision.DiskHints{Serial: "STICK1"}, all, "sdc", nil},
		"a stick by transport":                   {provision.DiskHints{Transport: "usb"}, all, "sdc", nil},
		"a stick is not meant by its size":       {provision.DiskHints{MaxSize: 64e9}, all, "removable or on USB", provision.ErrNoDisk},
		"read-only also where serial names it":   {provision.DiskHints{Serial: "S4EWNX0"}, []provision.DiskInfo{frozen}, "read-only", provision.ErrNoDisk},
		"by wwn as udev writes it":               {provision.DiskHints{WWN: "0x5000C500A2"}, all, "sdb", nil},
		"by wwn as the kernel writes it":         {provision.DiskHints{WWN: "eui.0025385b"}, all, "nvme0n1", nil},
		"by model with udev's underscores":       {provision.DiskHints{Model: "Samsung_SSD_970"}, all, "nvme0n1", nil},
		"by a model that two have":               {provision.DiskHints{Model: "ST4000"}, all, `"serial": "  ZA1  "`, provision.ErrSeveralDisks},
		"by model and path":                      {provision.DiskHints{Model: "ST4000", ByPath: "pci-0000:00:1f.2-ata-2"}, all, "sdb", nil},
		"by a path with its folder":              {provision.DiskHints{ByPath: "/dev/disk/by-path/pci-0000:01:00.0-nvme-1"}, all, "nvme0n1", nil},
		"by size, bounds included":               {provision.DiskHints{MinSize: 500e9, MaxSize: 500e9}, all, "nvme0n1", nil},
		"too small":                              {provision.DiskHints{MinSize: 500e9 + 1}, all[:1], "smaller than minSize", provision.ErrNoDisk},
		"too large":                              {provision.DiskHints{MaxSize: 500e9 - 1}, all[:1], "larger than maxSize", provision.ErrNoDisk},
		"not rotational":                         {provision.DiskHints{Rotational: &no}, all, "nvme0n1", nil},
		"rotational is two":                      {provision.DiskHints{Rotational: &yes}, all, "sdb", provision.ErrSeveralDisks},
		"every hint must match":                  {provision.DiskHints{Serial: "ZA1", Transport: "nvme"}, all, "no disk matches", provision.ErrNoDisk},
		"nothing but a card in a reader":         {provision.DiskHints{}, []provision.DiskInfo{card}, "removable or on USB", provision.ErrNoDisk},
		"a card by transport":                    {provision.DiskHints{Transport: "mmc"}, []provision.DiskInfo{card, nvme}, "mmcblk0", nil},
		"one disk by two paths":                  {provision.DiskHints{}, []provision.DiskInfo{path1, path2}, "sdf", nil},
		"one path of two":                        {provision.DiskHints{ByPath: path2.ByPath}, []provision.DiskInfo{path1, path2}, "sdg", nil},
		"a disk by two paths, and another":       {provision.DiskHints{}, []provision.DiskInfo{path1, path2, other}, `for sdf it would be "serial": "L1"`, provision.ErrSeveralDisks},
		"two disks whose WWN is made of zeros":   {provision.DiskHints{}, []provision.DiskInfo{zeros1, zeros2}, "several disks", provision.ErrSeveralDisks},
		"twins that nothing tells apart":         {provision.DiskHints{}, []provision.DiskInfo{{Name: "vda", Size: 1e10}, {Name: "vdb", Size: 1e10}}, "disconnect one", provision.ErrSeveralDisks},
		"told apart by what the second has":      {provision.DiskHints{}, []provision.DiskInfo{{Name: "vda", Size: 1e10}, {Name: "vdb", Size: 1e10, Serial: "B"}}, `for vdb it would be "serial": "B"`, provision.ErrSeveralDisks},
		"the error shows model, serial and size": {provision.DiskHints{}, all[:2], "nvme0n1, model Samsung SSD 970, serial S4EWNX0, wwn eui.0025385b, transport nvme, 500.0 GB", provision.ErrSeveralDisks},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := provision.SelectDisk(c.hints, c.disks)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, %v; want error %v", got, err, c.err)
			}
			if err == nil && got.Name != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v; want %q", got.Name, err, c.want)
			}
		})
	}
}

// Whatever the hints and the disks: a disk that is selected matches every hint,
// and it is the only one to do so among those that may be selected at all.
func TestSelectDiskProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	selected := 0
	for range 20000 {
		var disks []provision.DiskInfo
		for i := range r.IntN(4) {
			disks = append(disks, provision.DiskInfo{
				Name: "sd" + string(rune('a'+i)), Serial: pick("", "A", "B", "C"), Model: pick("", "M", "N"),
				Transport: pick("sata", "usb", "nvme"), Size: int64(1 + r.IntN(4)), Rotational: r.IntN(2) == 0,
				Removable: r.IntN(5) == 0, ReadOnly: r.IntN(8) == 0,
			})
		}
		hints := provision.DiskHints{
			Serial: pick("", "", "A", "B"), Model: pick("", "", "M"), Transport: pick("", "", "sata", "usb"),
			MinSize: int64(r.IntN(3)), MaxSize: int64(r.IntN(2) * 3),
		}
		got, err := provision.SelectDisk(hints, disks)
		if err != nil {
			continue
		}
		selected++
		if !plainlyMatches(hints, got) || got.ReadOnly {
			t.Fatalf("%+v selected %+v", hints, got)
		}
		if (got.Removable || got.Transport == "usb") && hints.Serial == "" && hints.Transport != "usb" {
			t.Fatalf("%+v selected the portable %+v", hints, got)
		}
		for _, other := range disks {
			if other.Name != got.Name && plainlyMatches(hints, other) && !other.ReadOnly && !other.Removable && other.Transport != "usb" {
				t.Fatalf("%+v selected %+v, though %+v matches too", hints, got, other)
			}
		}
	}
	if selected < 1000 {
		t.Errorf("only %d of the random cases select a disk", selected)
	}
}

func plainlyMatches(h provision.DiskHints, d provision.DiskInfo) bool {
	text := func(want, have string) bool { return want == "" || want == have }
	return text(h.Serial, d.Serial) && text(h.Model, d.Model) && text(h.Transport, d.Transport) &&
		d.Size >= h.MinSize && (h.MaxSize == 0 || d.Size <= h.MaxSize)
}

// TestHintsAreDocumentedAndSelect: the hints that are printed of a disk select it,
// and the documentation says where to read each.
func TestHintsAreDocumentedAndSelect(t *testing.T) {
	nvme, sata, spin, stick := bench()
	all := []provision.DiskInfo{nvme, sata, spin, stick}
	docs, err := os.ReadFile("../docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		var hints provision.DiskHints
		if err := json.Unmarshal([]byte(d.Hints()), &hints); err != nil {
			t.Fatal(err)
		}
		if got, err := provision.SelectDisk(hints, all); err != nil || got.Name != d.Name {
			t.Errorf("%s selects %s, %v", d.Hints(), got.Name, err)
		}
	}
	for i := range reflect.TypeFor[provision.DiskHints]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[provision.DiskHints]().Field(i).Tag.Get("json"), ",")
		if !strings.Contains(string(docs), "`"+name+"`") {
			t.Errorf("docs/operation.md does not describe the hint %s", name)
		}
	}
}
