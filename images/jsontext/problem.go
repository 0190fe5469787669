package jsontext

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxProblems bounds how many problems [Problems.Err] tells: a person mends a
// few at a time, and a hostile document must not fill a log.
const MaxProblems = 50

// maxReason is how much is told of what is wrong with one value, in bytes: the
// words of libraries quote what they were given.
const maxReason = 1000

// Problem is one thing that is wrong with a document, and where.
type Problem struct {
	// File names the document: the path in a site of one of its files,
	// "machines/52:54:00:12:34:56.json", or "manifest of debian-12".
	File string `json:"file"`
	// Line and Column count from 1, columns in bytes. Both are 0 where the
	// whole document is meant, or one that has no text.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Path is the JSON pointer to the value, "/args/hostname". It is "" where
	// the reason itself names what it speaks of.
	Path string `json:"path,omitempty"`
	// Reason says what is wrong and what to write instead.
	Reason string `json:"reason"`
}

// About is a problem with a document as a whole.
func About(file, format string, args ...any) Problem {
	return Problem{File: file, Reason: shortened(fmt.Sprintf(format, args...))}
}

// Error has the form that editors jump to: "file:line:column: path: reason".
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	return b.String() + ": " + p.What()
}

// What is the reason, after the path of what it speaks of if it needs one.
func (p Problem) What() string {
	if p.Path == "" {
		return p.Reason
	}
	return p.Path + ": " + p.Reason
}

func shortened(reason string) string {
	if len(reason) > maxReason {
		return strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	return reason
}

// Problems are what was found wrong, in any order. They are collected, so that
// a person sees them all at once.
type Problems []Problem

// Add notes what is wrong with the value at a place. The words speak of the
// value without its name ("is a number where …"): the path goes before them.
//
// Of very many problems it keeps those that come first.
func (p *Problems) Add(at Place, format string, args ...any) {
	problem := at.Problem(format, args...)
	problem.Path = at.Path()
	*p = append(*p, problem)
	if len(*p) > 4*MaxProblems {
		*p = p.Tidy()
		*p = (*p)[:min(len(*p), MaxProblems+1)] // one more, as a sign that there are more
	}
}

// Within says whether one of the problems is with the value at a place, or
// with something in it.
func (p Problems) Within(at Place) bool {
	path := at.Path()
	return slices.ContainsFunc(p, func(problem Problem) bool {
		return problem.File == at.File() && (problem.Path == path || strings.HasPrefix(problem.Path, path+"/"))
	})
}

// Tidy is the problems sorted by their places, each once: a mistake in a
// profile is met by each machine that extends it.
func (p Problems) Tidy() Problems {
	sorted := slices.Clone(p)
	slices.SortFunc(sorted, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Reason, b.Reason))
	})
	return slices.Compact(sorted)
}

// Err joins the first [MaxProblems] of the problems, in the order of the text.
// It is nil where there are none. Each is a [Problem] for [errors.As].
func (p Problems) Err() error {
	var all []error
	for i, problem := range p.Tidy() {
		if i == MaxProblems {
			all = append(all, About(problem.File, "more problems follow; mend these first"))
			break
		}
		all = append(all, problem)
	}
	return errors.Join(all...)
}
