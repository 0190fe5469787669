package paged

import "encoding/binary"

// textPage is the length of the pieces that texts lie in, in bytes.
const textPage = 64 << 10

// MaxText is how long a text can be, in bytes.
const MaxText = textPage - binary.MaxVarintLen32

// Texts are many short texts, one behind the other with their lengths before
// them, up to 4 GiB in all. The zero value has none.
type Texts struct {
	pages [][]byte
}

// Add keeps a text of at most [MaxText] bytes, and returns its place.
func (t *Texts) Add(s string) uint32 {
	last := len(t.pages) - 1
	if last < 0 || textPage-len(t.pages[last]) < binary.MaxVarintLen32+len(s) {
		t.pages = append(t.pages, make([]byte, 0, textPage))
		last++
	}
	page := t.pages[last]
	at := last*textPage + len(page)
	page = binary.AppendUvarint(page, uint64(len(s)))
	t.pages[last] = append(page, s...)
	return uint32(at)
}

// At is the text at a place, which nobody may write to.
func (t *Texts) At(place uint32) []byte {
	b := t.pages[place/textPage][place%textPage:]
	length, n := binary.Uvarint(b)
	end := n + int(length)
	return b[n:end:end]
}
