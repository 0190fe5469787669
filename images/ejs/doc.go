// Package ejs renders templates in EmbeddedJS: text with JavaScript in it.
//
//	<% code %>         runs
//	<%= expression %>  prints, and escapes nothing: these are configuration files
//	<%# comment %>     is left out
//	-%>                ends a tag and eats the end of the line
//	<%% and %%>        stand for <% and %>
//
// The same template and data always give the same bytes: a template sees its
// data, which it cannot change, and has no clock, no randomness, no files and
// no network. What it prints has to be there: undefined is an error that
// names what there is instead. null prints nothing.
//
// [Renderer] renders within the process and suits templates that are
// trusted. [Sandbox] renders in child processes that are bound in time,
// memory and output, and survives whatever a template does.
package ejs

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Error is what is wrong with a template.
type Error struct {
	// Template is the template's name, a path in its image.
	Template string `json:"template"`
	// Line is the line in the template, counted from 1; 0 if unknown.
	Line int `json:"line,omitempty"`
	// Reason says what is wrong.
	Reason string `json:"reason"`
}

// Error tells the template, the line and the reason.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("template %s: %s", e.Template, e.Reason)
	}
	return fmt.Sprintf("template %s, line %d: %s", e.Template, e.Line, e.Reason)
}

// maxReason is how much of a reason is kept, in bytes: a template chooses the
// words of what it throws.
const maxReason = 2000

func shortened(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:maxReason], "") + "…"
}

// The bounds of one render, where [Limits] names no others.
const (
	DefaultTime   = 2 * time.Second
	DefaultOutput = 16 << 20
	DefaultMemory = 256 << 20
)

// Limits bound one render. Zero stands for the default.
type Limits struct {
	// Time is how long a render may take.
	Time time.Duration
	// Output is the largest result, in bytes.
	Output int
	// Memory is how much a render may take, in bytes. Only a [Sandbox]
	// enforces it.
	Memory int64
}

func (l Limits) orDefault() Limits {
	if l.Time <= 0 {
		l.Time = DefaultTime
	}
	if l.Output <= 0 {
		l.Output = DefaultOutput
	}
	if l.Memory <= 0 {
		l.Memory = DefaultMemory
	}
	return l
}

// maxTemplate is the largest template, in bytes.
const maxTemplate = 4 << 20

// ErrClosed says that the sandbox was closed.
var ErrClosed = errors.New("the template sandbox is closed")
