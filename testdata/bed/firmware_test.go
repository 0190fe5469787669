package bed_test

import (
	"bytes"
	endian "encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"cloudlets/provision/bootorder"
	"cloudlets/testdata/bed"
)

// wantBootEntry checks what the firmware of a machine keeps: the boot order has an entry
// for an image, right after one of the network.
func (r *rig) wantBootEntry(m *bed.Machine, image string) {
	r.Helper()
	variables := firmwareVariables(r, filepath.Join(r.dir, "vars-"+m.Spec.MAC+".fd"))
	var titles []string
	for order := variables["BootOrder"]; len(order) > 1; order = order[2:] {
		o, err := bootorder.ParseOption(variables[fmt.Sprintf("Boot%04X", endian.LittleEndian.Uint16(order))])
		if err != nil {
			r.Errorf("the boot order names an entry that is not there: %v", err)
		}
		titles = append(titles, o.Description)
	}
	at := slices.Index(titles, "cloudlets: "+image)
	if at < 1 || !strings.Contains(titles[at-1], strings.ToUpper(strings.ReplaceAll(m.Spec.MAC, ":", ""))) {
		r.Errorf("the firmware's boot order is %q; want %q after the network card", titles, "cloudlets: "+image)
	}
}

// firmwareVariables reads the variables in a flash file of OVMF: the headers of EDK2's
// VariableFormat.h, with the time-based authentication.
func firmwareVariables(t testing.TB, file string) map[string][]byte {
	t.Helper()
	const (
		storeHeader, header = 28, 60
		begin, valid        = 0x55aa, 0x3f
	)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string][]byte{}
	at := int(endian.LittleEndian.Uint16(data[48:])) + storeHeader
	for endian.LittleEndian.Uint16(data[at:]) == begin {
		nameSize, size := int(endian.LittleEndian.Uint32(data[at+36:])), int(endian.LittleEndian.Uint32(data[at+40:]))
		var units []uint16
		for name := bytes.NewReader(data[at+header : at+header+nameSize-2]); name.Len() > 0; {
			var unit uint16
			if err := endian.Read(name, endian.LittleEndian, &unit); err != nil {
				t.Fatal(err)
			}
			units = append(units, unit)
		}
		if content := at + header + nameSize; data[at+2] == valid {
			variables[string(utf16.Decode(units))] = data[content : content+size]
		}
		at = (at + header + nameSize + size + 3) &^ 3
	}
	return variables
}
