package gitindex

import (
	"crypto/sha1" //nolint:gosec // git's index ends with this hash
	"encoding/binary"
	"strings"
)

// Stat is what an index says about a file, by which git sees that it was not
// changed. Times are in seconds and nanoseconds. Only the low 32 bits of each
// number are kept.
type Stat struct {
	MtimeSec, MtimeNsec, Ino, UID, GID, Size uint32
}

// Where the numbers of a file's description are.
const (
	mtimeAt = 8
	inoAt   = 20
	uidAt   = 28
	gidAt   = 32
	sizeAt  = 36
)

// Stat returns what the index says about the file with a number in Names.
func (x *Index) Stat(i int) Stat {
	at := x.stats[i]
	return Stat{
		MtimeSec: number(x.text, at+mtimeAt), MtimeNsec: number(x.text, at+mtimeAt+4), Ino: number(x.text, at+inoAt),
		UID: number(x.text, at+uidAt), GID: number(x.text, at+gidAt), Size: number(x.text, at+sizeAt),
	}
}

// Owner is the new owner of the file with a number in [Index.Names].
type Owner struct {
	File     int
	UID, GID uint32
}

// WithOwners returns the text of the index with other owners of some files. whole is
// false if the index does not have the hash at its end that it should have: then it is
// damaged, and must not get a right one.
func (x *Index) WithOwners(owners []Owner) (text []byte, whole bool) {
	text = []byte(x.text)
	end := len(text) - hashSize
	hashed := strings.Trim(x.text[end:], "\x00") != ""                // else git was told to leave out the hash
	if hashed && sha1.Sum(text[:end]) != [hashSize]byte(text[end:]) { //nolint:gosec // see above
		return nil, false
	}
	for _, o := range owners {
		at := x.stats[o.File]
		binary.BigEndian.PutUint32(text[at+uidAt:], o.UID)
		binary.BigEndian.PutUint32(text[at+gidAt:], o.GID)
	}
	if hashed {
		sum := sha1.Sum(text[:end]) //nolint:gosec // see above
		copy(text[end:], sum[:])
	}
	return text, true
}
