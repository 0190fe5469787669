package owndisk

import (
	"encoding/binary"

	"cloudlets/images/disk/bootloader"
)

// The program as a file ("PE Format"): headers, and three sections, each on a page of its
// own, so that firmware can keep memory that is written from being run.
const (
	headersSize = 0x200
	codeAt      = 0x1000
	dataAt      = 0x2000
	fixesAt     = 0x3000
	imageSize   = 0x4000
	fileAlign   = 0x200

	coffAt      = 0x40
	optionalAt  = coffAt + 24
	directories = 16
	// optionalSize is that of the header for 64 bits with all data directories.
	optionalSize = 112 + 8*directories

	application = 10     // the subsystem of programs that firmware starts and that return
	noExecute   = 0x0100 // the program needs no memory that is both written and run
)

// machines are the numbers of architectures.
var machines = map[bootloader.Arch]uint16{bootloader.AMD64: 0x8664, bootloader.ARM64: 0xaa64}

// What the memory of a section is for.
const (
	runs   = 0x60000020
	writes = 0xc0000040
	fixes  = 0x42000040 // read, and of no use once the program runs
)

// noFixes is a list of addresses to be corrected that has none. Without a list, some
// firmware starts a program only where its header wants it.
var noFixes = []byte{0, dataAt >> 8, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0}

// image is the program as a file.
func image(arch bootloader.Arch, code, data []byte) []byte {
	sections := []struct {
		name    string
		at, use uint32
		content []byte
	}{{".text", codeAt, runs, code}, {".data", dataAt, writes, data}, {".reloc", fixesAt, fixes, noFixes}}
	file := make([]byte, headersSize, headersSize+len(code)+len(data)+3*fileAlign)
	le := binary.LittleEndian
	copy(file, "MZ")
	le.PutUint32(file[0x3c:], coffAt)

	coff := file[coffAt:]
	copy(coff, "PE\x00\x00")
	le.PutUint16(coff[4:], machines[arch])
	le.PutUint16(coff[6:], uint16(len(sections)))
	le.PutUint16(coff[20:], optionalSize)
	le.PutUint16(coff[22:], 0x0022) // a program, which may lie above 2 GiB

	optional := file[optionalAt:]
	le.PutUint16(optional, 0x20b) // for 64 bits
	le.PutUint32(optional[4:], rounded(len(code)))
	le.PutUint32(optional[8:], rounded(len(data))+rounded(len(noFixes)))
	le.PutUint32(optional[16:], codeAt) // where it begins
	le.PutUint32(optional[20:], codeAt)
	le.PutUint32(optional[32:], 0x1000)
	le.PutUint32(optional[36:], fileAlign)
	le.PutUint32(optional[56:], imageSize)
	le.PutUint32(optional[60:], headersSize)
	le.PutUint16(optional[68:], application)
	le.PutUint16(optional[70:], noExecute)
	le.PutUint32(optional[108:], directories)
	le.PutUint32(optional[112+8*5:], fixesAt)
	le.PutUint32(optional[112+8*5+4:], uint32(len(noFixes)))

	header := optional[optionalSize:]
	for _, s := range sections {
		copy(header, s.name)
		le.PutUint32(header[8:], uint32(len(s.content)))
		le.PutUint32(header[12:], s.at)
		le.PutUint32(header[16:], rounded(len(s.content)))
		le.PutUint32(header[20:], uint32(len(file)))
		le.PutUint32(header[36:], s.use)
		header = header[40:]
		file = append(file, s.content...)
		file = append(file, make([]byte, int(rounded(len(s.content)))-len(s.content))...)
	}
	return file
}

// rounded is a size in the file.
func rounded(size int) uint32 { return uint32(size+fileAlign-1) &^ (fileAlign - 1) }
