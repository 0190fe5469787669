package jsontext

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxProblems bounds how many problems of one document are told: a person
// mends a few at a time, and a hostile document must not fill a log.
const MaxProblems = 50

// maxReason is how much is told of what is wrong with one value, in bytes:
// the words of libraries quote what they were given.
const maxReason = 1000

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

	Offset int // where in the text
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
type Report struct {
	File     string
	Text     []byte // the text; nil where there is none
	Problems []*Problem
}

// add notes a problem with the value at an offset of the text.
func (r *Report) Add(offset int, path, format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	r.Problems = append(r.Problems, &Problem{File: r.File, Path: path, Reason: reason, Offset: offset})
	if len(r.Problems) > 4*MaxProblems {
		r.sort()
		r.Problems = r.Problems[:MaxProblems+1] // the first ones, and a sign that there are more
	}
}

// told says whether there is a problem with the value at a path, or within.
func (r *Report) Told(path string) bool {
	return slices.ContainsFunc(r.Problems, func(p *Problem) bool {
		return p.Path == path || strings.HasPrefix(p.Path, path+"/")
	})
}

// sort puts the problems in the order of the text, each once.
func (r *Report) sort() {
	slices.SortFunc(r.Problems, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), strings.Compare(a.Path, b.Path), strings.Compare(a.Reason, b.Reason))
	})
	r.Problems = slices.CompactFunc(r.Problems, func(a, b *Problem) bool { return *a == *b })
}

// err is what was noted, in the order of the text, or nil.
func (r *Report) Err() error {
	r.sort()
	var all []error
	for i, p := range r.Problems {
		if i == MaxProblems {
			all = append(all, fmt.Errorf("%s: more problems follow; mend these first", r.File))
			break
		}
		if r.Text != nil {
			p.Line, p.Column = position(r.Text, p.Offset)
		}
		all = append(all, p)
	}
	return errors.Join(all...)
}

// position turns an offset into a line and a column, both counted from 1.
func position(data []byte, offset int) (line, column int) {
	before := data[:min(max(offset, 0), len(data))]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}
