package iso

// Flags of a folder's record (ECMA-119, 9.1.6).
const (
	isFolder = 0x02
	notLast  = 0x80 // the file goes on in the next record
)

const (
	// extentSize is the largest length in whole sectors that fits into a record's
	// 32 bits.
	extentSize = 1<<32 - sector
	// maxExtents is how many records of one file Linux reads.
	maxExtents = 100
	// recordSize is the length of a record without its name.
	recordSize = 33
)

// records returns the content of the only folder: a record for itself, one for
// its parent, which is itself too, and records for the files.
func (m *Image) records() []byte {
	size := m.folderSize()
	var b []byte
	add := func(record []byte) {
		// A record must not cross a sector boundary.
		if left := sector - len(b)%sector; len(record) > left {
			b = append(b, make([]byte, left)...)
		}
		b = append(b, record...)
	}
	add(m.record("\x00", folderAt*sector, size, isFolder))
	add(m.record("\x01", folderAt*sector, size, isFolder))
	for _, f := range m.files {
		for at := int64(0); ; at += extentSize {
			left := f.Size - at
			if left <= extentSize {
				add(m.record(f.Name+";1", f.offset+at, left, 0))
				break
			}
			add(m.record(f.Name+";1", f.offset+at, extentSize, notLast))
		}
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

// folderSize returns the folder's length in bytes, in whole sectors. It does not
// depend on the files' offsets.
func (m *Image) folderSize() int64 {
	perSector := int64(sector / (recordSize + len("12345678.123;1") + 1))
	records := int64(2)
	for _, f := range m.files {
		records += max(1, (f.Size+extentSize-1)/extentSize)
	}
	return roundUp(records, perSector) / perSector * sector
}

// record encodes a record of a folder (ECMA-119, 9.1).
func (m *Image) record(name string, offset, size int64, flags byte) []byte {
	b := make([]byte, recordSize+len(name)+(len(name)+1)%2)
	b[0] = byte(len(b))
	putBoth32(b[2:], uint32(offset/sector))
	putBoth32(b[10:], uint32(size))
	copy(b[18:], shortTime(m.opts.Time))
	b[25] = flags
	putBoth16(b[28:], 1)
	b[32] = byte(len(name))
	copy(b[recordSize:], name)
	return b
}
