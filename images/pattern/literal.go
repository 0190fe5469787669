package pattern

import "strings"

// literals finds text that is in all that a pattern matches: at its start,
// and anywhere. It knows little of patterns, gives up early, and errs on the
// short side: "" is always right.
func literals(pattern string) (prefix, part string) {
	if alternates(pattern) {
		return "", ""
	}
	s := literalScan{rest: strings.TrimPrefix(pattern, "^"), first: true}
	for s.rest != "" && s.token() {
	}
	s.end()
	return s.prefix, s.longest
}

// literalScan goes through a pattern; run is the text that it has just seen.
type literalScan struct {
	rest            string
	run             []byte
	first           bool // of the runs
	depth           int  // of brackets
	prefix, longest string
}

// end ends a run of text.
func (s *literalScan) end() {
	if s.first {
		s.prefix, s.first = string(s.run), false
	}
	if len(s.run) > len(s.longest) {
		s.longest = string(s.run)
	}
	s.run = s.run[:0]
}

// token takes one token off the pattern and says whether the next is known
// to be one too.
func (s *literalScan) token() bool {
	c := s.rest[0]
	s.rest = s.rest[1:]
	switch c {
	case '\\':
		return s.escape()
	case '(':
		s.end()
		s.depth++
		return !strings.HasPrefix(s.rest, "?") || len(s.rest) > 1 && strings.IndexByte(":=!<", s.rest[1]) >= 0 // others change what follows
	case ')':
		s.depth--
	case '*', '?', '{': // the last one may be missing
		s.run = s.run[:max(len(s.run)-1, 0)]
		s.end()
		return c != '{'
	case '+', '.', '^', '$', '}', ']', '|':
		s.end()
	case '[':
		return false
	default:
		s.literal(c)
	}
	return true
}

// literal takes a character that stands for itself. What is in brackets may
// be missing, and a character of several bytes may be repeated as one.
func (s *literalScan) literal(c byte) {
	if s.depth > 0 || c >= 0x80 {
		s.end()
		return
	}
	s.run = append(s.run, c)
}

// escape takes what is after a backslash.
func (s *literalScan) escape() bool {
	if s.rest == "" {
		return false
	}
	c := s.rest[0]
	s.rest = s.rest[1:]
	if strings.IndexByte(`/.-_+*?()[]{}^$|\`, c) >= 0 {
		s.literal(c)
		return true
	}
	s.end()
	return strings.IndexByte("dDwWsSbB", c) >= 0 // others take more characters
}

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
