package chunks

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"testing"
)

// file is one of a length, whatever is in it.
func file(length int) []byte {
	data := make([]byte, length)
	r := rand.NewChaCha8([32]byte{byte(length)})
	r.Read(data)
	return data
}

// listOf writes a file in pieces of some lengths.
func listOf(t testing.TB, data []byte, pieces ...int) List {
	t.Helper()
	var w Writer
	for i := 0; len(data) > 0; i++ {
		n := min(pieces[i%len(pieces)], len(data))
		if _, err := w.Write(data[:n]); err != nil {
			t.Fatal(err)
		}
		data = data[n:]
	}
	return w.List()
}

// TestEachChunkIsChecked: of a file of any length each chunk is that of the file, and no
// other bytes are; in whatever pieces it was written.
func TestEachChunkIsChecked(t *testing.T) {
	for _, length := range []int{0, 1, Size - 1, Size, Size + 1, 5*Size + 4096} {
		data := file(length)
		l := listOf(t, data, 1000, Size, 3*Size, 7)
		text, err := l.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var read List
		if err := read.UnmarshalBinary(text); err != nil {
			t.Fatalf("%d bytes: %v", length, err)
		}
		if read.Length() != int64(length) || read.Count() != (length+Size-1)/Size {
			t.Errorf("%d bytes: the list is of %d bytes in %d chunks", length, read.Length(), read.Count())
		}
		var whole []byte
		for i := range read.Count() {
			offset, n := read.Place(i)
			chunk := bytes.Clone(data[offset : offset+n])
			whole = append(whole, chunk...)
			if err := read.Check(i, chunk); err != nil {
				t.Errorf("%d bytes: %v", length, err)
			}
			chunk[n/2] ^= 1
			if err := read.Check(i, chunk); !errors.Is(err, ErrDamaged) {
				t.Errorf("%d bytes: chunk %d with one bit changed: %v", length, i, err)
			}
			if err := read.Check(i, chunk[:n-1]); !errors.Is(err, ErrDamaged) {
				t.Errorf("%d bytes: chunk %d without its last byte: %v", length, i, err)
			}
		}
		if !bytes.Equal(whole, data) {
			t.Errorf("%d bytes: the chunks are not the file", length)
		}
	}
}

func TestDamagedLists(t *testing.T) {
	l := listOf(t, file(3*Size), Size)
	good, err := l.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"empty": nil, "another file": bytes.Repeat([]byte("x"), 200), "cut in the head": good[:header-1], "cut": good[:len(good)-1],
		"longer":          append(bytes.Clone(good), make([]byte, sha256.Size)...),
		"of other chunks": append(append(bytes.Clone(good[:header-4]), 0, 0, 1, 0), good[header:]...),
		"too long":        append(append([]byte(magic), bytes.Repeat([]byte{0xff}, 8)...), good[len(magic)+8:]...),
	} {
		var read List
		if err := read.UnmarshalBinary(text); err == nil {
			t.Errorf("%s: it is read as one of %d bytes", name, read.Length())
		}
	}
}

// FuzzList: whatever is read as a list is written as the same bytes, and its chunks are
// within its file.
func FuzzList(f *testing.F) {
	var w Writer
	w.Write(file(Size + 5))
	good, _ := w.List().MarshalBinary()
	f.Add(good)
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, text []byte) {
		var l List
		if l.UnmarshalBinary(text) != nil {
			return
		}
		for i := range l.Count() {
			if offset, n := l.Place(i); n < 1 || n > Size || offset+n > l.Length() {
				t.Errorf("chunk %d of %d bytes is %d bytes at %d", i, l.Length(), n, offset)
			}
		}
		if again, err := l.MarshalBinary(); err != nil || !bytes.Equal(again, text) {
			t.Errorf("it is written as %q, %v", again, err)
		}
	})
}
