package dialect

import (
	"encoding/binary"
	"hash/crc32"
)

// uImage is the header of a file that U-Boot loads (its include/image.h).
type uImage struct {
	Magic, HeaderCRC, Time, Size, Load, Entry, DataCRC uint32
	OS, Arch, Type, Compression                        uint8
	Name                                               [32]byte
}

const (
	uImageMagic  = 0x27051956
	uImageLinux  = 5
	uImageScript = 6
)

// scriptImage is a script as a file that U-Boot runs on any processor: a header, the
// sizes of the scripts in it with a zero at their end, and the script.
func scriptImage(script string) string {
	data := binary.BigEndian.AppendUint32(nil, uint32(len(script)))
	data = binary.BigEndian.AppendUint32(data, 0)
	data = append(data, script...)
	header := uImage{Magic: uImageMagic, Size: uint32(len(data)), DataCRC: crc32.ChecksumIEEE(data), OS: uImageLinux, Type: uImageScript}
	copy(header.Name[:], "cloudlets")
	header.HeaderCRC = crc32.ChecksumIEEE(header.bytes()) // over a header in which it is 0
	return string(append(header.bytes(), data...))
}

func (u uImage) bytes() []byte {
	b := make([]byte, binary.Size(u))
	_, _ = binary.Encode(b, binary.BigEndian, u) // fails only if b is too short
	return b
}
