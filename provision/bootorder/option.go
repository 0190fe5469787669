// Package bootorder puts an entry into the boot order of a machine's UEFI firmware. It
// reads and writes load options (UEFI 2.10 section 3.1.3) and the variables Boot####,
// BootOrder and BootCurrent, and leaves all entries alone that are not its own.
//
// It has its own reader of load options: what firmware has there may be anything, and
// the libraries that were looked at end the program if it is not as they expect.
package bootorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/google/uuid"
)

// Option is a load option: an entry of the firmware's boot menu.
type Option struct {
	// Attributes are bits; [Active] is one.
	Attributes uint32
	// Description is what the menu shows. It ends before the first NUL.
	Description string
	// Path is the list of device paths, with the nodes that end each.
	Path []Node
	// Optional is handed to the program that is started. Most loaders take it for
	// their command line.
	Optional []byte
}

// Active is the attribute of an option that firmware starts by itself.
const Active = 1

// Node is one node of a device path, UEFI 2.10 section 10.
type Node struct {
	Type, Subtype uint8
	Data          []byte // what follows the node's header of four bytes
}

// The types and subtypes of nodes that this package makes.
const (
	typeMedia        = 4
	subtypeHardDrive = 1
	subtypeFile      = 4
	typeEnd          = 0x7f
	subtypeEndAll    = 0xff
)

// nodeHeader is the length of a node's header in bytes.
const nodeHeader = 4

var errShort = errors.New("it is shorter than it says")

// ParseOption reads the content of a variable Boot####.
func ParseOption(data []byte) (Option, error) {
	o, err := parseOption(data)
	if err != nil {
		return Option{}, fmt.Errorf("read a load option of %d bytes: %w", len(data), err)
	}
	return o, nil
}

func parseOption(data []byte) (o Option, err error) {
	if len(data) < 6 {
		return o, errShort
	}
	o.Attributes = binary.LittleEndian.Uint32(data)
	length := int(binary.LittleEndian.Uint16(data[4:]))
	text, rest, err := cutText(data[6:])
	if err != nil {
		return o, err
	}
	if length > len(rest) {
		return o, errShort
	}
	o.Description = text
	if o.Path, err = parseNodes(rest[:length]); err != nil {
		return o, err
	}
	if len(rest) > length {
		o.Optional = rest[length:]
	}
	return o, nil
}

// cutText reads UTF-16 up to a NUL.
func cutText(data []byte) (text string, rest []byte, err error) {
	var units []uint16
	for ; len(data) >= 2; data = data[2:] {
		unit := binary.LittleEndian.Uint16(data)
		if unit == 0 {
			return string(utf16.Decode(units)), data[2:], nil
		}
		units = append(units, unit)
	}
	return "", nil, errors.New("its description does not end")
}

func parseNodes(data []byte) (nodes []Node, err error) {
	for len(data) > 0 {
		if len(data) < nodeHeader {
			return nil, errShort
		}
		length := int(binary.LittleEndian.Uint16(data[2:]))
		if length < nodeHeader || length > len(data) {
			return nil, fmt.Errorf("a node of its device path has %d bytes of %d", length, len(data))
		}
		nodes = append(nodes, Node{data[0], data[1], data[nodeHeader:length]})
		data = data[length:]
	}
	return nodes, nil
}

// Bytes returns the content of a variable Boot####. It returns an error for paths that
// are too long for their field of 16 bits.
func (o Option) Bytes() ([]byte, error) {
	var path []byte
	for _, n := range o.Path {
		length := nodeHeader + len(n.Data)
		if length > 0xffff {
			return nil, fmt.Errorf("make a load option: a node of its device path has %d bytes, and at most 65535 are allowed", length)
		}
		path = append(path, n.Type, n.Subtype)
		path = binary.LittleEndian.AppendUint16(path, uint16(length))
		path = append(path, n.Data...)
	}
	if len(path) > 0xffff {
		return nil, fmt.Errorf("make a load option: its device path has %d bytes, and at most 65535 are allowed", len(path))
	}
	data := binary.LittleEndian.AppendUint32(nil, o.Attributes)
	data = binary.LittleEndian.AppendUint16(data, uint16(len(path)))
	data = appendText(data, o.Description)
	return append(append(data, path...), o.Optional...), nil
}

// appendText appends UTF-16 with a NUL at its end.
func appendText(data []byte, text string) []byte {
	text, _, _ = strings.Cut(text, "\x00")
	for _, unit := range utf16.Encode([]rune(text)) {
		data = binary.LittleEndian.AppendUint16(data, unit)
	}
	return append(data, 0, 0)
}

// Partition is a partition of a disk with a GPT.
type Partition struct {
	Number       uint32 // from 1
	Offset, Size uint64 // in logical sectors
	GUID         uuid.UUID
}

// filePath is the device path of a file on a partition. file is slash-separated. The
// path begins with the partition, so that firmware finds it on whatever controller the
// disk is.
func filePath(p Partition, file string) []Node {
	drive := binary.LittleEndian.AppendUint32(nil, p.Number)
	drive = binary.LittleEndian.AppendUint64(drive, p.Offset)
	drive = binary.LittleEndian.AppendUint64(drive, p.Size)
	// The first three fields of a GUID are little-endian.
	g := p.GUID
	drive = append(drive, g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6])
	drive = append(drive, g[8:]...)
	drive = append(drive, 2, 2) // a GPT; its signature is a GUID
	name := appendText(nil, `\`+strings.ReplaceAll(file, "/", `\`))
	return []Node{{typeMedia, subtypeHardDrive, drive}, {typeMedia, subtypeFile, name}, {typeEnd, subtypeEndAll, nil}}
}
