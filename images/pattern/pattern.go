// Package pattern matches paths with regular expressions in the syntax of
// Python and JavaScript, as manifests have them.
package pattern

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/dlclark/regexp2/v2"
)

const (
	// matchTimeout bounds one match.
	matchTimeout = time.Second
	// maxPattern is the longest regular expression that a manifest may have,
	// in bytes: memory grows with its length, and stack with its brackets.
	MaxLength = 4096
)

// pattern is a regular expression in the syntax of JavaScript.
type Pattern struct{ re *regexp2.Regexp }

// compilePattern compiles an expression. One match takes a second at most.
func Compile(text string) (Pattern, error) {
	re, err := regexp2.Compile(text, regexp2.ECMAScript)
	if err != nil {
		return Pattern{}, err
	}
	re.MatchTimeout = matchTimeout
	return Pattern{re}, nil
}

// String is the expression's text.
func (p Pattern) String() string { return p.re.String() }

// match says whether the expression matches somewhere in s. The error says
// that it ran out of time.
func (p Pattern) Match(s string) (bool, error) { return p.re.MatchString(s) }

// MatchString is match, in which running out of time means no match.
func (p Pattern) MatchString(s string) bool {
	ok, err := p.Match(s)
	return ok && err == nil
}

// prefixPattern is a regular expression that is matched from the start of
// many texts, the paths of a whole filesystem. Once it has run out of time a
// few times it matches nothing any more.
type Prefix struct {
	Pattern
	// begin and part are literal text that all matches begin with, and
	// contain. Few paths do, and only they cost a match.
	begin, part string
	timeouts    *atomic.Int32
}

// compilePrefix compiles an expression that is matched from the start of a
// text, and need not reach its end.
func CompilePrefix(text string) (Prefix, error) {
	// By itself first: an unbalanced bracket could close the ones around it.
	if _, err := Compile(text); err != nil {
		return Prefix{}, err
	}
	p, err := Compile("^(?:" + text + ")")
	if err != nil {
		return Prefix{}, err
	}
	begin, part := literals(text)
	return Prefix{p, begin, part, new(atomic.Int32)}, nil
}

// maxTimeouts is how often a pattern may run out of time.
const maxTimeouts = 3

// MatchString says whether the expression matches the start of s.
func (p Prefix) MatchString(s string) bool {
	if !strings.HasPrefix(s, p.begin) || !strings.Contains(s, p.part) || p.timeouts.Load() >= maxTimeouts {
		return false
	}
	ok, err := p.Match(s)
	if err != nil {
		p.timeouts.Add(1)
	}
	return ok && err == nil
}
