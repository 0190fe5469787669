package ext4

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum continues the format's CRC32c with data. There is no inversion at the
// beginning and end, so a result can be passed to the next call.
func checksum(crc uint32, data []byte) uint32 {
	return ^crc32.Update(^crc, castagnoli, data)
}

// checksum32 continues a checksum with a number.
func checksum32(crc, v uint32) uint32 {
	crc ^= v
	for range 4 { // by byte, so that nothing is allocated for the many numbers
		crc = castagnoli[byte(crc)] ^ crc>>8
	}
	return crc
}

// checksum64 continues a checksum with a number.
func checksum64(crc uint32, v uint64) uint32 {
	return checksum32(checksum32(crc, uint32(v)), uint32(v>>32))
}

// seed is the initial value for checksums of a filesystem's metadata.
func seed(uuid [16]byte) uint32 { return checksum(^uint32(0), uuid[:]) }

// inodeSeed is the initial value for checksums of an inode, its directory blocks
// and its extent blocks. All inodes have generation 0.
func inodeSeed(fs uint32, ino uint32) uint32 {
	return checksum32(checksum32(fs, ino), 0)
}
