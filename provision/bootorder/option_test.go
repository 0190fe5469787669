package bootorder

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
	"testing/quick"
	"unicode/utf8"

	"github.com/google/uuid"
)

// testEntry is an entry as an install makes it.
func testEntry(title string) Entry {
	return Entry{
		Title: title, Loader: "EFI/BOOT/BOOTX64.EFI",
		Partition: Partition{Number: 2, Offset: 4096, Size: 1 << 20, GUID: uuid.MustParse("12345678-9abc-def0-0123-456789abcdef")},
	}
}

// TestOptionAsFirmwareHasIt: the bytes are those of the specification's tables.
func TestOptionAsFirmwareHasIt(t *testing.T) {
	data, err := testEntry("web").option().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	want := "01000000" + "5e00" + // active; the length of the path
		"63006c006f00750064006c006500740073003a002000770065006200" + "0000" + // "cloudlets: web"
		"04012a00" + "02000000" + "0010000000000000" + "0000100000000000" + "78563412bc9af0de0123456789abcdef" + "0202" +
		"04043000" + "5c004500460049005c0042004f004f0054005c0042004f004f0054005800360034002e004500460049000000" +
		"7fff0400"
	if got := hex.EncodeToString(data); got != want {
		t.Errorf("the option is\n%s\nwant\n%s", got, want)
	}
}

// TestRoundTrip: what is written is read as it was.
func TestRoundTrip(t *testing.T) {
	err := quick.Check(func(attributes uint32, description string, types [3]uint8, data [3][]byte, optional []byte) bool {
		if !utf8.ValidString(description) {
			description = ""
		}
		o := Option{Attributes: attributes, Description: description, Path: []Node{}}
		for i, one := range data {
			o.Path = append(o.Path, Node{types[i], types[(i+1)%3], append([]byte{}, one...)})
		}
		if len(optional) > 0 {
			o.Optional = optional
		}
		written, err := o.Bytes()
		if err != nil {
			return false
		}
		got, err := ParseOption(written)
		return err == nil && reflect.DeepEqual(got, o)
	}, nil)
	if err != nil {
		t.Error(err)
	}
}

func TestBadOptions(t *testing.T) {
	for name, data := range map[string][]byte{
		"nothing":                   nil,
		"a description without end": {1, 0, 0, 0, 0, 0, 'a', 0},
		"half a character":          {1, 0, 0, 0, 0, 0, 'a'},
		"a path beyond its end":     {1, 0, 0, 0, 9, 0, 0, 0, 4, 1, 4, 0},
		"a node of no length":       {1, 0, 0, 0, 4, 0, 0, 0, 4, 1, 0, 0},
		"a node beyond the path":    {1, 0, 0, 0, 4, 0, 0, 0, 4, 1, 5, 0, 9},
		"half a node":               {1, 0, 0, 0, 2, 0, 0, 0, 4, 1},
	} {
		if o, err := ParseOption(data); err == nil {
			t.Errorf("%s is read as %+v", name, o)
		}
	}
	if _, err := (Option{Path: []Node{{Data: make([]byte, 1<<16)}}}).Bytes(); err == nil {
		t.Error("a node that is too long is written")
	}
}

// FuzzOption: parse, build, parse never panics and agrees.
func FuzzOption(f *testing.F) {
	data, err := testEntry("web").option().Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(append(data, "options"...))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0xd8, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := ParseOption(data)
		if err != nil {
			return
		}
		built, err := first.Bytes()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		second, err := ParseOption(built)
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Fatalf("read again it is %+v, was %+v (%v)", second, first, err)
		}
		if again, err := second.Bytes(); err != nil || !bytes.Equal(again, built) {
			t.Fatalf("written again it differs (%v)", err)
		}
	})
}
