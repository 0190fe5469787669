package jsontext

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// document is what the places of one text have in common.
type document struct {
	name  string
	lines []int // the offsets at which lines begin; nil where there is no text
	root  *Node
}

func newDocument(name string, text []byte) *document {
	lines := []int{0}
	for i, c := range text {
		if c == '\n' {
			lines = append(lines, i+1)
		}
	}
	return &document{name: name, lines: lines}
}

func (d *document) at(offset int) Place { return Place{doc: d, offset: offset} }

// position is an offset's line and column, both counted from 1, columns in
// bytes. Both are 0 where there is no text.
func (d *document) position(offset int) (line, column int) {
	line = sort.SearchInts(d.lines, offset+1)
	if line == 0 {
		return 0, 0
	}
	return line, offset - d.lines[line-1] + 1
}

// path is the JSON pointer (RFC 6901) to the value or key at an offset.
func (d *document) path(offset int) string {
	path := ""
	for n := d.root; n != nil && n.offset < offset; {
		name, at, inner := n.around(offset)
		if inner == nil {
			break
		}
		path = pointer(path, name)
		if at == offset {
			break
		}
		n = inner
	}
	return path
}

// around is the member or element of n that an offset is in: its name, where
// it begins, and its value.
func (n *Node) around(offset int) (name string, at int, inner *Node) {
	members, elements := n.Members(), n.Elements()
	if i := sort.Search(len(members), func(i int) bool { return members[i].key.offset > offset }) - 1; i >= 0 {
		return members[i].Name, members[i].key.offset, members[i].Value
	}
	if i := sort.Search(len(elements), func(i int) bool { return elements[i].offset > offset }) - 1; i >= 0 {
		return strconv.Itoa(i), elements[i].offset, elements[i]
	}
	return "", 0, nil
}

// pointer appends a name to a JSON pointer.
func pointer(path, name string) string {
	if strings.ContainsAny(name, "~/") {
		name = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	return path + "/" + name
}

// Place is where a value stands, or where one is missing.
type Place struct {
	doc     *document
	offset  int
	missing string // what the path goes on with after the value at offset
}

// File is the name of the document.
func (p Place) File() string { return p.doc.name }

// Path is the JSON pointer to the value, "/args/hostname"; "" is the whole
// document.
func (p Place) Path() string { return p.doc.path(p.offset) + p.missing }

// Below is the place of something that is not there: the place is that of what
// should hold it, and the path has its name.
func (p Place) Below(names ...string) Place {
	for _, name := range names {
		p.missing = pointer(p.missing, name)
	}
	return p
}

// Problem tells what is wrong at the place, in words that name the thing. See
// [Problems.Add] for words that do not.
func (p Place) Problem(format string, args ...any) Problem {
	line, column := p.doc.position(p.offset)
	return Problem{File: p.doc.name, Line: line, Column: column, Reason: shortened(fmt.Sprintf(format, args...))}
}

// Place is where the value stands.
func (n *Node) Place() Place { return n.doc.at(n.offset) }

// Problem is [Place.Problem] at the value's place.
func (n *Node) Problem(format string, args ...any) Problem { return n.Place().Problem(format, args...) }

// Place is where the member's name stands.
func (m Member) Place() Place { return m.key.Place() }

// Locate goes down from a value by names and indexes. Where they lead nowhere,
// the place is that of the nearest value above, and its path has all of them.
func (n *Node) Locate(names ...string) Place {
	for i, name := range names {
		inner := n.Child(name)
		if inner == nil {
			return n.Place().Below(names[i:]...)
		}
		n = inner
	}
	return n.Place()
}
