package owndisk

import (
	"bytes"
	"sync"
	"unsafe"

	"cloudlets/images/disk/bootloader"
)

// program is never called: firmware runs a copy of its instructions.
func program()

// address is where the instructions of program are in the memory of this process.
func address() unsafe.Pointer

// endMark follows the last instruction of program.
var endMark = []byte("the end of it.\r\n")

// code returns the instructions of the program for an architecture, or nil. The Go
// assembler has made those of this server's own, as part of the server.
func code(arch bootloader.Arch) []byte {
	if arch != bootloader.AMD64 {
		return nil
	}
	return instructions()
}

// instructions reads no further than to the end of the mark.
var instructions = sync.OnceValue(func() []byte {
	for n := len(endMark); n <= dataAt-codeAt; n++ {
		if text := unsafe.Slice((*byte)(address()), n); bytes.HasSuffix(text, endMark) {
			return bytes.Clone(text[:n-len(endMark)])
		}
	}
	return nil
})
