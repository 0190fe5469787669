package boot

import (
	"debug/elf"
	"encoding/binary"
	"strings"
)

// ArchName gives an architecture the name that Debian has for it: "x86_64"
// and "amd64" are both "amd64".
func ArchName(name string) string {
	name = strings.ToLower(name)
	switch name {
	case "x86_64", "x86-64", "x64":
		return "amd64"
	case "i486", "i586", "i686", "x86", "386", "ia32":
		return "i386"
	case "aarch64":
		return "arm64"
	case "armhf", "armel", "armv7l", "armv6l":
		return "arm"
	case "ppc64el":
		return "ppc64le"
	}
	return name
}

// RunsOn says whether a processor (or a kernel for it) runs code for another
// architecture. An architecture that is not known ("") fits all.
func RunsOn(machine, code string) bool {
	machine, code = ArchName(machine), ArchName(code)
	return machine == "" || code == "" || machine == code || machine == "amd64" && code == "i386"
}

// kernelArch tells which architecture a kernel is for by its head, or "" if
// that does not tell. It knows the x86 boot protocol, the arm64 Image, EFI
// programs and ELF.
func kernelArch(head []byte) string {
	for _, look := range []func([]byte) string{x86Arch, armArch, efiArch, elfArch} {
		if arch := look(head); arch != "" {
			return arch
		}
	}
	return ""
}

// x86Arch reads the header of the x86 boot protocol: "HdrS" at 0x202, the
// protocol's version after it, and from version 2.12 on the bit that says
// that the kernel has a 64-bit entry point (Documentation/arch/x86/boot.rst).
func x86Arch(head []byte) string {
	if len(head) < 0x238 || !isX86(head) {
		return ""
	}
	version := binary.LittleEndian.Uint16(head[0x206:])
	if flags := binary.LittleEndian.Uint16(head[0x236:]); version >= 0x20c && flags&1 != 0 {
		return "amd64"
	}
	return "i386"
}

// armArch reads the header of an arm64 Image (Documentation/arch/arm64/booting.rst).
func armArch(head []byte) string {
	if len(head) >= 0x3c && string(head[0x38:0x3c]) == "ARM\x64" {
		return "arm64"
	}
	return ""
}

// efiArch reads the machine of a PE program, which a kernel with an EFI stub is.
func efiArch(head []byte) string {
	if len(head) < 0x40 || string(head[:2]) != "MZ" {
		return ""
	}
	at := int64(binary.LittleEndian.Uint32(head[0x3c:]))
	if at+6 > int64(len(head)) || string(head[at:at+4]) != "PE\x00\x00" {
		return ""
	}
	switch binary.LittleEndian.Uint16(head[at+4:]) {
	case 0x8664:
		return "amd64"
	case 0x14c:
		return "i386"
	case 0xaa64:
		return "arm64"
	case 0x1c0, 0x1c2, 0x1c4:
		return "arm"
	case 0x5064:
		return "riscv64"
	}
	return ""
}

// ProgramArch tells which architecture (Debian's name) an ELF program is for
// by its first 20 bytes or more. It is "" for other files, and for an
// architecture that is not known here.
func ProgramArch(head []byte) string { return elfArch(head) }

// elfArch reads the machine of an ELF file.
func elfArch(head []byte) string {
	if len(head) < 20 || string(head[:4]) != elf.ELFMAG {
		return ""
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	switch elf.Machine(order.Uint16(head[18:])) {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_386:
		return "i386"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_ARM:
		return "arm"
	case elf.EM_RISCV:
		return "riscv64"
	case elf.EM_S390:
		return "s390x"
	case elf.EM_PPC64:
		if order == binary.ByteOrder(binary.LittleEndian) {
			return "ppc64le"
		}
		return "ppc64"
	}
	return ""
}
