package ext4

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the format's CRC32c, which neither begins nor ends with an
// inversion: results can be carried on with.
func checksum(crc uint32, data []byte) uint32 {
	return ^crc32.Update(^crc, castagnoli, data)
}

// checksum32 carries a checksum on with a number.
func checksum32(crc, v uint32) uint32 {
	crc ^= v
	for range 4 { // bytes; each group has a number, and none should take memory
		crc = castagnoli[byte(crc)] ^ crc>>8
	}
	return crc
}

// checksum64 carries a checksum on with a number.
func checksum64(crc uint32, v uint64) uint32 {
	return checksum32(checksum32(crc, uint32(v)), uint32(v>>32))
}

// seed is where the checksums of a filesystem's metadata begin.
func seed(uuid [16]byte) uint32 { return checksum(^uint32(0), uuid[:]) }

// inodeSeed is where the checksums of what belongs to an inode begin: its
// directory blocks, its extent blocks, itself. Generations are all 0.
func inodeSeed(fs uint32, ino uint32) uint32 {
	return checksum32(checksum32(fs, ino), 0)
}
