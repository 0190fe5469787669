// Package gitindex reads git's index file, the list of the files in a
// repository's next revision. Starting git to list them takes several times as
// long.
//
// It knows the versions 2, 3 and 4 of the format, with hashes of SHA-1, as in
// gitformat-index(5). Anything else is [ErrUnknown]: an index that is split or
// sparse, or has another extension that must not be passed over. Then git itself
// has to be asked.
package gitindex

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnknown means that only git can read an index.
var ErrUnknown = errors.New("the index has a form that this program does not know")

// Index is a parsed index file.
type Index struct {
	// Names are the names of the files, sorted by their bytes. A file with a
	// conflict is there up to three times.
	Names []string

	text  string
	stats []int // where the description of each file begins in text
}

// Sizes within the format.
const (
	headerSize = 12
	statSize   = 40 // the file as lstat(2) told of it
	hashSize   = 20
	fixedSize  = statSize + hashSize + 2 // up to the flags
)

// Bits of an entry's flags.
const (
	nameMask = 0x0fff // the length of the name, if it is less than this
	extended = 0x4000 // two more bytes of flags follow
)

// Parse parses the text of an index file. The names share its memory.
func Parse(text string) (*Index, error) {
	if len(text) < headerSize+hashSize || text[:4] != "DIRC" {
		return nil, ErrUnknown
	}
	version, count := number(text, 4), number(text, 8)
	if version < 2 || version > 4 || int64(count) > int64(len(text)/fixedSize) {
		return nil, ErrUnknown
	}
	p := parser{text: text[:len(text)-hashSize], at: headerSize, version: version}
	x := &Index{Names: make([]string, count), text: text, stats: make([]int, count)}
	for i := range x.Names {
		var ok bool
		x.stats[i] = p.at
		if x.Names[i], ok = p.entry(); !ok || i > 0 && x.Names[i] < x.Names[i-1] {
			return nil, fmt.Errorf("%w: entry %d is damaged", ErrUnknown, i)
		}
	}
	if err := p.extensions(); err != nil {
		return nil, err
	}
	return x, nil
}

// number reads four bytes in network order.
func number(s string, at int) uint32 {
	return uint32(s[at])<<24 | uint32(s[at+1])<<16 | uint32(s[at+2])<<8 | uint32(s[at+3])
}

type parser struct {
	text    string // without the hash at the end
	at      int
	version uint32
	last    string // the previous name
}

// entry reads one entry and returns its name.
func (p *parser) entry() (name string, ok bool) {
	start := p.at
	if len(p.text)-start < fixedSize {
		return "", false
	}
	flags := uint16(p.text[start+fixedSize-2])<<8 | uint16(p.text[start+fixedSize-1])
	p.at += fixedSize
	if flags&extended != 0 {
		p.at += 2
		if p.version < 3 {
			return "", false
		}
	}
	if p.version == 4 {
		name, ok = p.shortened()
	} else {
		name, ok = p.whole(start)
	}
	p.last = name
	return name, ok && name != "" && int(flags&nameMask) == min(len(name), nameMask)
}

// whole reads a name that zeros fill up to a multiple of eight bytes, counted
// from the start of the entry.
func (p *parser) whole(start int) (string, bool) {
	if p.at >= len(p.text) {
		return "", false
	}
	size := strings.IndexByte(p.text[p.at:], 0)
	if size < 0 {
		return "", false
	}
	name := p.text[p.at : p.at+size]
	p.at = start + (p.at+size-start+8)&^7
	return name, p.at <= len(p.text)
}

// shortened reads a name of version 4: how many bytes to take off the end of
// the name before, and what to append.
func (p *parser) shortened() (string, bool) {
	drop, ok := p.varint()
	if !ok || drop > len(p.last) {
		return "", false
	}
	size := strings.IndexByte(p.text[p.at:], 0)
	if size < 0 {
		return "", false
	}
	name := p.last[:len(p.last)-drop] + p.text[p.at:p.at+size]
	p.at += size + 1
	return name, true
}

// varint reads a number of seven bits a byte, the highest first. Each byte but
// the last stands for one more than it says, so that every number has one form.
func (p *parser) varint() (n int, ok bool) {
	for ; p.at < len(p.text) && n < 1<<24; n++ {
		c := p.text[p.at]
		p.at++
		if n = n<<7 | int(c&0x7f); c&0x80 == 0 {
			return n, true
		}
	}
	return 0, false
}

// extensions passes over the extensions. Those that begin with a capital letter
// may be passed over.
func (p *parser) extensions() error {
	for p.at < len(p.text) {
		if len(p.text)-p.at < 8 {
			return ErrUnknown
		}
		size := int64(number(p.text, p.at+4))
		if c := p.text[p.at]; c < 'A' || c > 'Z' || size > int64(len(p.text)-p.at-8) {
			return fmt.Errorf("%w: the extension %.4q", ErrUnknown, p.text[p.at:])
		}
		p.at += 8 + int(size)
	}
	return nil
}
