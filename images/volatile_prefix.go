package images

import (
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// prefixed is a pattern that is matched from the start, and whose matches all
// begin with prefix: few paths do, and only they cost a match.
type prefixed struct {
	prefix string
	jsonschema.Regexp
}

func (p prefixed) MatchString(s string) bool {
	return strings.HasPrefix(s, p.prefix) && p.Regexp.MatchString(s)
}

// literalPrefix is how every match of a pattern begins. It errs on the short
// side: "" is always right.
func literalPrefix(pattern string) string {
	if alternates(pattern) {
		return ""
	}
	pattern = strings.TrimPrefix(pattern, "^")
	var prefix []byte
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '\\' && i+1 < len(pattern) && isPunct(pattern[i+1]):
			i++
			c = pattern[i]
		case c == '+':
			return string(prefix)
		case strings.IndexByte("*?{", c) >= 0:
			return string(prefix[:max(len(prefix)-1, 0)]) // the last one may be missing
		case c >= 0x80 || strings.IndexByte(`\^$.|()[]}`, c) >= 0:
			return string(prefix)
		}
		prefix = append(prefix, c)
	}
	return string(prefix)
}

// isPunct says whether a backslash before c makes it stand for itself.
func isPunct(c byte) bool { return strings.IndexByte(`/.-_+*?()[]{}^$|\`, c) >= 0 }

// alternates says whether a pattern may have an alternative outside of all
// brackets. Where there are classes, whose brackets hold anything, it may.
func alternates(pattern string) bool {
	if !strings.Contains(pattern, "|") {
		return false
	}
	depth := 0
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '[':
			return true
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth <= 0 {
				return true
			}
		}
	}
	return false
}
