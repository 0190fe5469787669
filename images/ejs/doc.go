// Package ejs renders templates in EmbeddedJS, which is text with JavaScript in
// it.
//
//	<% code %>         runs code
//	<%= expression %>  prints a value, unescaped: these are configuration files
//	<%# comment %>     is left out
//	-%>                ends a tag and drops the newline after it
//	<%_ and _%>        drop the blanks beside a tag, _%> also the newline after it
//	<%% and %%>        stand for <% and %>
//
// The same template and data always give the same bytes. A template sees only
// its data, which it cannot change. It has no clock, no randomness, no files
// and no network. Printing undefined is an error that lists the names which
// exist. Printing null prints nothing.
//
// [Renderer] renders within this process and is for trusted templates.
// [Sandbox] renders in child processes with limits on time, memory and output,
// and survives whatever a template does.
package ejs

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Error describes what is wrong with a template.
type Error struct {
	// Template is the name of the template, which is a path in its image.
	Template string `json:"template"`
	// Line is the line in the template, counted from 1; 0 if unknown.
	Line int `json:"line,omitempty"`
	// Reason says what is wrong.
	Reason string `json:"reason"`
}

// Error returns the template, the line and the reason as one text.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("template %s: %s", e.Template, e.Reason)
	}
	return fmt.Sprintf("template %s, line %d: %s", e.Template, e.Line, e.Reason)
}

// maxReason is the maximum length of a reason in bytes. It is limited because a
// template chooses the text of the errors that it throws.
const maxReason = 2000

func shortened(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:maxReason], "") + "…"
}

// The default limits of one render; see [Limits].
const (
	DefaultTime   = 2 * time.Second
	DefaultOutput = 16 << 20
	DefaultMemory = 256 << 20
)

// Limits are the limits of one render. Zero means the default.
type Limits struct {
	// Time is the maximum duration of a render. In a [Sandbox] it is exceeded when
	// that much has passed by the clock and the child has used as much of a processor,
	// so that a template does not fail because the computer is busy. A [Renderer]
	// shares its process and counts by the clock alone.
	Time time.Duration
	// Output is the maximum size of the result in bytes.
	Output int
	// Memory is the maximum memory of a render in bytes. Only a [Sandbox]
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

// maxTemplate is the maximum size of a template in bytes.
const maxTemplate = 4 << 20

// ErrClosed means that the sandbox was closed.
var ErrClosed = errors.New("the template sandbox is closed")
