package manifest

import (
	"cloudlets/images/jsontext"
	"cloudlets/images/pattern"
)

// setVolatile compiles the patterns. Each is matched from the start of a
// path and need not reach its end.
func (m *Manifest) setVolatile(r *jsontext.Report, at string, n *jsontext.Node) {
	texts(r, at, n, func(at string, n *jsontext.Node, s string) {
		re, err := pattern.CompilePrefix(s)
		if err != nil {
			r.Add(n.Offset, at, "is not a regular expression: %v", err)
			return
		}
		m.Volatile = append(m.Volatile, s)
		m.volatile = append(m.volatile, re)
	})
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
