package tarball

import (
	"bytes"
	"testing"
)

// FuzzChecksums compares the sums of a header with those of POSIX's words: "the simple
// sum of all bytes in the header logical record", with blanks for the field itself.
func FuzzChecksums(f *testing.F) {
	f.Add(bytes.Repeat([]byte{0xff}, blockSize))
	f.Add(bytes.Repeat([]byte{0x7f, 0x80}, blockSize/2))
	f.Add([]byte("a/name"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var block [blockSize]byte
		copy(block[:], data)
		gotUnsigned, gotSigned := checksums(block[:])
		checksumField.putText(block[:], "        ")
		var unsigned, signed int64
		for _, b := range block {
			unsigned += int64(b)
			signed += int64(int8(b))
		}
		if gotUnsigned != unsigned || gotSigned != signed {
			t.Errorf("the sums are %d and %d, want %d and %d", gotUnsigned, gotSigned, unsigned, signed)
		}
	})
}
