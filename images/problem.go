package images

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// maxProblems bounds how many problems of one document are told: a person
// mends a few at a time, and a hostile document must not fill a log.
const maxProblems = 50

// Problem is one thing that is wrong with a JSON document: a manifest or a
// configuration. All that are found come joined, see [errors.Join].
type Problem struct {
	// File names the document, "manifest of debian-12".
	File string
	// Line and Column say where, counted from 1, columns in bytes; 0 where
	// the value was not read from text.
	Line, Column int
	// Path is the JSON pointer to the value, "/args/hostname"; "" is the
	// whole document.
	Path string
	// Reason says what is wrong with it.
	Reason string
}

// Error tells the document, the place and the reason.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ", line %d, column %d", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(", " + p.Path)
	}
	return b.String() + ": " + p.Reason
}

// report collects the problems of one document.
type report struct {
	file     string
	data     []byte // the text; nil where there is none
	problems []error
}

// add notes a problem with the value at an offset of the text.
func (r *report) add(offset int, path, format string, args ...any) {
	if len(r.problems) == maxProblems {
		r.problems = append(r.problems, fmt.Errorf("%s: more problems follow; mend these first", r.file))
	}
	if len(r.problems) > maxProblems {
		return
	}
	p := &Problem{File: r.file, Path: path, Reason: fmt.Sprintf(format, args...)}
	if r.data != nil {
		p.Line, p.Column = position(r.data, offset)
	}
	r.problems = append(r.problems, p)
}

// err is all that was noted, or nil.
func (r *report) err() error { return errors.Join(r.problems...) }

// position turns an offset into a line and a column, both counted from 1.
func position(data []byte, offset int) (line, column int) {
	before := data[:min(max(offset, 0), len(data))]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}
