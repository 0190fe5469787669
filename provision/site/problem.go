package site

import (
	"cmp"
	"fmt"
	"slices"
)

// FileError is what is wrong with one file of a site, and where in it.
type FileError struct {
	// File is the file's path in the site: "machines/52:54:00:12:34:56.json".
	File string `json:"file"`
	// Line and Column count from 1; 0 where the whole file is meant. Columns
	// count bytes.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Reason says what is wrong and what to write instead.
	Reason string `json:"reason"`
}

// Error has the form that editors jump to: "file:line:column: reason".
func (e FileError) Error() string { return e.place() + ": " + e.Reason }

func (e FileError) place() string {
	if e.Line == 0 {
		return e.File
	}
	return fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
}

// fileProblem is about a file as a whole.
func fileProblem(file, format string, args ...any) FileError {
	return FileError{File: file, Reason: fmt.Sprintf(format, args...)}
}

// tidyProblems sorts problems and drops those that are there twice: a mistake
// in a profile is met once for each machine that extends it.
func tidyProblems(problems []FileError) []FileError {
	sorted := slices.Clone(problems)
	slices.SortFunc(sorted, func(a, b FileError) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Reason, b.Reason))
	})
	return slices.Compact(sorted)
}
