package pattern

import "strings"

// literals finds text that each match of a pattern begins with, and text that
// each match has somewhere. It knows the common parts of the syntax only, and
// stops at anything else. A text that is too short costs time and nothing more:
// "" is always right.
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

// literalScan goes through a pattern.
type literalScan struct {
	rest            string // of the pattern
	run             []byte // the text that the last tokens stand for
	first           bool   // run is at the pattern's start
	depth           int    // of brackets
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

// token takes one token off the pattern. It returns false where it does not know
// what the rest means.
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
// brackets. It does not read character classes, in which brackets and bars stand
// for themselves, and takes any pattern with both a class and a bar for one.
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
