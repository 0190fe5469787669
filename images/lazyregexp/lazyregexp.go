// Package lazyregexp compiles a package's regular expressions when they are first
// used. The program starts for each verb, and to compile all of them takes it a
// millisecond.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns a function that returns the compiled regular expression. The function
// panics if the text is not a regular expression.
func New(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
