package imagetest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// GoProgram returns the parts of a Go program that tell its architecture, "amd64" or
// "arm64", and the revision of its source, which may be "". It has an ELF header and
// one segment with the build information in the form that debug/buildinfo reads.
func GoProgram(arch, revision string) []byte {
	machine := elf.EM_X86_64
	if arch == "arm64" {
		machine = elf.EM_AARCH64
	}
	info := "path\tcloudlets/cmd/cloudlets\nbuild\tGOARCH=" + arch + "\n"
	if revision != "" {
		info += "build\tvcs.revision=" + revision + "\n"
	}
	const mark = "0123456789abcdef" // build information stands between marks of 16 bytes
	var data bytes.Buffer
	data.WriteString("\xff Go buildinf:\x08\x02")
	data.Write(make([]byte, 16)) // the header has 32 bytes
	for _, text := range []string{"go1.26", mark + info + mark} {
		data.Write(binary.AppendUvarint(nil, uint64(len(text))))
		data.WriteString(text)
	}
	const start, address = 0x1000, 0x400000
	var file bytes.Buffer
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}
	for _, part := range []any{
		elf.Header64{
			Ident: ident, Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
			Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
		},
		elf.Prog64{
			Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: start, Vaddr: address, Paddr: address,
			Filesz: uint64(data.Len()), Memsz: uint64(data.Len()), Align: start,
		},
	} {
		_ = binary.Write(&file, binary.LittleEndian, part) // a buffer takes everything
	}
	file.Write(make([]byte, start-file.Len()))
	file.Write(data.Bytes())
	return file.Bytes()
}
