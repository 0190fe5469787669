// Package pattern is regular expressions in the syntax of JavaScript, in which
// manifests write them: Go's own have no look-ahead. They come from anybody and
// may backtrack without end, so each match has a bound in time.
package pattern

import (
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dlclark/regexp2/v2"

	"cloudlets/images/cputime"
)

const (
	// matchTimeout bounds one try of a match by the clock, and the tries after the first
	// in processor time.
	matchTimeout = time.Second
	// maxTries is how often a match is tried that ran out of time by the clock. The
	// engine knows no other, and begins anew each time.
	maxTries = 10
	// MaxLength is the longest regular expression that a manifest may have,
	// in bytes: memory grows with its length, and stack with its brackets.
	// [Compile] leaves it to its callers, who say it in their own words.
	MaxLength = 4096
)

// Pattern is a regular expression in the syntax of JavaScript.
type Pattern struct {
	re   *regexp2.Regexp
	text string
}

// Compile compiles an expression. One match takes two seconds at most, and more
// only if the computer is busy. The
// expression is read as with JavaScript's flag u if it has an escape that only
// this flag gives a meaning: \p{…}, \P{…} or \u{…}.
func Compile(text string) (Pattern, error) {
	options := regexp2.RegexOptions(regexp2.ECMAScript)
	plain, unicode := unicodeEscapes(text)
	if unicode {
		options |= regexp2.Unicode
	}
	re, err := regexp2.Compile(plain, options)
	if err != nil {
		return Pattern{}, err
	}
	re.MatchTimeout = matchTimeout
	return Pattern{re, text}, nil
}

// unicodeEscapes reports whether an expression has escapes for which it needs
// the flag u. It removes from \p{Script=Greek} and \p{gc=L} the names of these
// two properties, since the engine knows their values by themselves.
func unicodeEscapes(text string) (plain string, unicode bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		b.WriteByte(text[i])
		if text[i] != '\\' || i+1 == len(text) {
			continue
		}
		i++
		b.WriteByte(text[i])
		if c := text[i]; i+1 == len(text) || text[i+1] != '{' || c != 'p' && c != 'P' && c != 'u' {
			continue
		}
		unicode = true
		for _, property := range []string{"Script=", "sc=", "General_Category=", "gc="} {
			if strings.HasPrefix(text[i+2:], property) {
				b.WriteByte('{')
				i += 1 + len(property)
			}
		}
	}
	return b.String(), unicode
}

// String is the expression's text.
func (p Pattern) String() string { return p.text }

// Match says whether the expression matches somewhere in s. The error says
// that the match ran out of time.
func (p Pattern) Match(s string) (bool, error) {
	if ok, err := p.re.MatchString(s); err == nil { // as nearly always, so nothing is measured
		return ok, nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return retry(func() (bool, error) { return p.re.MatchString(s) }, cputime.Thread)
}

// retry repeats a match that runs out of time, until all tries together have used that
// much of a processor, as used tells it.
func retry(match func() (bool, error), used func() time.Duration) (ok bool, err error) {
	began := used()
	for range maxTries {
		if ok, err = match(); err == nil || used()-began >= matchTimeout*9/10 {
			break
		}
	}
	return ok, err
}

// MatchString is [Pattern.Match] in which running out of time means no match.
func (p Pattern) MatchString(s string) bool {
	ok, err := p.Match(s)
	return ok && err == nil
}

// Prefix is a regular expression that is matched from the start of many texts:
// the paths of a whole filesystem. After it has run out of time three times it
// matches nothing any more.
type Prefix struct {
	pattern Pattern
	// All that matches begins with the text begin, and has the text part in
	// it. Few paths do, and only for those the expression itself is run.
	begin, part string
	timeouts    *atomic.Int32
}

// CompilePrefix compiles an expression that is matched from the start of a
// text. The match need not reach the text's end.
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
	ok, err := p.pattern.Match(s)
	if err != nil {
		p.timeouts.Add(1)
	}
	return ok && err == nil
}
