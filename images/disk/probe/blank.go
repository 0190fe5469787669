package probe

import "bytes"

// Where to look for data that has no signature: in the first MiBs, in places at
// equal distances, and in the last MiB. A filesystem whose beginning was erased
// shows there.
const (
	firstLooks = 16 * mebi
	places     = 256
	placeSize  = 4 << 10
)

// backupGroups are the block groups of an ext4 that begin with a copy of its
// superblock and are most likely to exist (sparse_super). groupSize is the size of
// a group with blocks of 4 KiB.
var backupGroups = []int64{1, 3, 5, 7, 9, 25, 27, 49}

const groupSize = 128 * mebi

// blank says whether the area is all zeros, as far as it looks. It reads some 18
// MiB at most, which takes seconds on a spinning disk.
func (a *area) blank() bool {
	for off := int64(0); off < min(a.size, firstLooks); off += mebi {
		if !a.zero(off, mebi) {
			return false
		}
	}
	for i := range int64(places) {
		if !a.zero(a.size/places*i, placeSize) {
			return false
		}
	}
	for _, group := range backupGroups {
		if !a.zero(group*groupSize, placeSize) {
			return false
		}
	}
	return a.zero(-mebi, mebi)
}

// zero reports whether n bytes at off are all zero. A negative off counts from the
// end.
func (a *area) zero(off int64, n int) bool {
	return bytes.Count(a.bytes(off, n), []byte{0}) == n
}

// unfinished marks a disk that an install began to write. It stands at
// unfinishedOffset in the first MiB, where no firmware looks.
const (
	unfinished       = "cloudlets: an install began to write this disk, and did not complete it\n"
	unfinishedOffset = mebi - 4<<10
)

// Unfinished returns the first MiB of a disk while an install writes it: zeros, in
// which no firmware finds anything, and a mark. For [Identify] such a disk is
// blank, since it holds only what the install left, so that an install that broke
// off can be repeated. What completes the install overwrites the mark.
func Unfinished() []byte {
	first := make([]byte, mebi)
	copy(first[unfinishedOffset:], unfinished)
	return first
}

// unfinished says whether the area begins as [Unfinished] says.
func (a *area) unfinished() bool { return bytes.Equal(a.bytes(0, mebi), Unfinished()) }
