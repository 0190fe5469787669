// Package owndisk makes a program for UEFI firmware that starts the boot loader of one
// machine's own disk. Firmware that boots from the network can be sent to its disk in no
// other way that is quick: a program that gives up has it try each other card and protocol
// that its boot order has, for up to a minute each, and without a program it asks on by
// DHCP for a minute.
//
// The program has some 4 KiB. It finds the partition by its GUID, so it starts no other disk.
// If the partition or its boot loader is not there, the program fails, and firmware goes on to
// the next entry of its boot order.
package owndisk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/google/uuid"

	"cloudlets/images/disk/bootloader"
)

// MaxPartitions is how many partitions a program knows at most.
const MaxPartitions = 8

// ErrNoProgram is returned for an architecture that this build of the server has no program
// for.
var ErrNoProgram = errors.New("this server has no program that starts the disk of such a machine")

// What stands where in the data of the program, whose assembly has these constants too.
const (
	countAt      = 0 // how many GUIDs there are
	loaderSizeAt = 8
	loaderAt     = 16
	guidsAt      = 128
	pathAt       = 256                                        // where the program makes the path of the boot loader
	pathRoom     = greetingAt - pathAt - (guidsAt - loaderAt) // for that of the partition
	greetingAt   = 1280
	partingAt    = 2304
	dataSize     = 2560
)

// What the program writes on the screen: first, and when it gives up. The texts are always the
// same, since firmware measures the program into PCR 4 of a TPM (TCG PC Client Platform Firmware
// Profile), and disks may be locked to that.
const (
	greeting = "cloudlets: this machine starts its own disk\r\n"
	parting  = "cloudlets: its disk does not start; the firmware goes on in its boot order\r\n"
)

// Program returns the program for a machine of an architecture. It starts the first of some
// EFI system partitions that has a boot loader; they are named by their GUIDs, in text. A mirror
// has two.
func Program(arch bootloader.Arch, partitions []string) ([]byte, error) {
	code := code(arch)
	if code == nil {
		return nil, fmt.Errorf("start the disk of a machine with the processor %s: %w", arch, ErrNoProgram)
	}
	data, err := data(arch, partitions)
	if err != nil {
		return nil, err
	}
	return image(arch, code, data), nil
}

// data is what the program reads, and where it makes the path of the boot loader.
func data(arch bootloader.Arch, partitions []string) ([]byte, error) {
	if len(partitions) == 0 || len(partitions) > MaxPartitions {
		return nil, fmt.Errorf("start the disk of a machine: want 1 to %d partitions, have %d", MaxPartitions, len(partitions))
	}
	data := make([]byte, dataSize)
	binary.LittleEndian.PutUint64(data[countAt:], uint64(len(partitions)))
	path := loaderPath(`\` + strings.ReplaceAll(bootloader.FallbackLoader(arch), "/", `\`))
	binary.LittleEndian.PutUint64(data[loaderSizeAt:], uint64(len(path)))
	copy(data[loaderAt:guidsAt], path)
	for i, text := range partitions {
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("start the disk of a machine: the partition %q: %w", text, err)
		}
		putGUID(data[guidsAt+16*i:], id)
	}
	putText(data[greetingAt:partingAt], greeting)
	putText(data[partingAt:], parting)
	return data, nil
}

// loaderPath is the end of a device path: a file, and the end itself (UEFI 2.10, sections
// 10.3.5.4 and 10.3.1).
func loaderPath(name string) []byte {
	path := binary.LittleEndian.AppendUint16([]byte{4, 4}, uint16(4+2*(len(name)+1)))
	for _, unit := range utf16.Encode([]rune(name + "\x00")) {
		path = binary.LittleEndian.AppendUint16(path, unit)
	}
	return append(path, 0x7f, 0xff, 4, 0)
}

// putGUID writes a GUID as firmware has it: its first three fields are little-endian
// (UEFI 2.10, appendix A).
func putGUID(b []byte, id uuid.UUID) {
	binary.LittleEndian.PutUint32(b, binary.BigEndian.Uint32(id[:]))
	binary.LittleEndian.PutUint16(b[4:], binary.BigEndian.Uint16(id[4:]))
	binary.LittleEndian.PutUint16(b[6:], binary.BigEndian.Uint16(id[6:]))
	copy(b[8:16], id[8:])
}

// putText writes a text of ASCII in UTF-16, before zeros.
func putText(b []byte, text string) {
	for i, unit := range utf16.Encode([]rune(text)) {
		binary.LittleEndian.PutUint16(b[2*i:], unit)
	}
}

// Has says whether there is a program for an architecture.
func Has(arch bootloader.Arch) bool { return code(arch) != nil }
