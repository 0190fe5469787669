package manifest

import (
	"cloudlets/images/jsontext"
	"cloudlets/images/pattern"
)

// setVolatile compiles the patterns. Each is matched from the start of a
// path and need not reach its end.
func (m *Manifest) setVolatile(n *jsontext.Node, problems *jsontext.Problems) {
	for _, element := range n.Elements() {
		s, ok := element.Text()
		if !ok {
			continue
		}
		re, err := pattern.CompilePrefix(s)
		if err != nil {
			problems.Add(element.Place(), "is not a regular expression: %v", err)
			continue
		}
		m.Volatile = append(m.Volatile, s)
		m.volatile = append(m.volatile, re)
	}
}

// IsVolatile says whether a path is left out of the image. Each path is
// judged by itself: "/tmp/.+" leaves out all that is in /tmp and keeps /tmp,
// and "/tmp$" leaves out /tmp and nothing in it. A pattern that takes longer
// than a second over a path does not match it, and is given up after three.
func (m *Manifest) IsVolatile(p string) bool {
	for _, v := range m.volatile {
		if v.MatchString(p) {
			return true
		}
	}
	return false
}
