package hardware

import (
	"path/filepath"
	"testing"

	"cloudlets/provision/hardware/hardwaretest"
)

func TestLLDP(t *testing.T) {
	const name, id = "\x0a\x03sw3", "\x04\x0c\x05Ethernet1/7"
	for text, want := range map[string]string{
		"\x02\x07\x04\x52\x54\x00\x00\x00\x01" + id + "\x06\x02\x00\x78" + name + "\x00\x00": "sw3 Ethernet1/7",
		"\x02\x07\x04\x52\x54\x00\x00\x00\x01" + id + "\x06\x02\x00\x78\x00\x00":             "52:54:00:00:00:01 Ethernet1/7",
		"\x02\x07\x04\x52\x54\x00\x00\x00\x01\x04\x07\x03\x52\x54\x00\x00\x00\x09\x00\x00":   "52:54:00:00:00:01 52:54:00:00:00:09",
		id + "\x00\x00": "", // no name
		name + id:       "", // no end
		"\x0b\xffsw3":   "", // cut off
		"":              "",
	} {
		system, port, ok := ParseLLDP([]byte(text))
		if got := system + " " + port; ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %t; want %q", text, got, ok, want)
		}
	}
}

func FuzzLLDP(f *testing.F) {
	f.Add([]byte("\x02\x07\x04\x52\x54\x00\x00\x00\x01\x04\x02\x05a\x00\x00"))
	f.Fuzz(func(_ *testing.T, frame []byte) { ParseLLDP(frame); redfishAddress(frame) })
}

func TestBMCAndPCI(t *testing.T) {
	dir := hardwaretest.NewSys(t)
	record := make([]byte, 16+34+2+16)
	record[51] = 1
	copy(record[52:], []byte{10, 0, 9, 41})
	raw := append([]byte{42, 11, 0, 1, 0x40, 2, 9, 9, 1, 4, byte(len(record))}, record...)
	dir.Write(t, "firmware/dmi/entries/42-0/raw", string(raw))
	for file, value := range map[string]string{"class": "0x030000\n", "vendor": "0x10de\n", "device": "0x2204\n"} {
		dir.Write(t, filepath.Join("bus/pci/devices/0000:01:00.0", file), value)
		dir.Write(t, filepath.Join("bus/pci/devices/0000:00:01.0", file), map[string]string{"class": "0x060400\n"}[file])
	}
	sys := dir.FS()
	if at := BMC(sys); at != "10.0.9.41" {
		t.Errorf("the BMC is at %q", at)
	}
	for n := range raw {
		redfishAddress(raw[:n]) // must not panic
	}
	if all := PCI(sys); len(all) != 1 || all[0].ID != "10de:2204" || all[0].Class != "0300" || all[0].Address != "0000:01:00.0" {
		t.Errorf("the devices are %+v", all)
	}
}
