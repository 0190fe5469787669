package images

import (
	"github.com/dlclark/regexp2/v2"
)

// setVolatile compiles the patterns. Each is matched from the start of a
// path and need not reach its end.
func (m *Manifest) setVolatile(r *report, at string, n *node) {
	texts(r, at, n, func(at string, n *node, s string) {
		// By itself first: in brackets an unbalanced one could close ours.
		_, err := regexp2.Compile(s, regexp2.ECMAScript)
		if err != nil {
			r.add(n.offset, at, "is not a regular expression: %v", err)
			return
		}
		re, err := regexp2.Compile("^(?:"+s+")", regexp2.ECMAScript)
		if err != nil {
			r.add(n.offset, at, "is not a regular expression: %v", err)
			return
		}
		re.MatchTimeout = matchTimeout
		m.Volatile = append(m.Volatile, s)
		prefix, part := literals(s)
		m.volatile = append(m.volatile, screened{prefix, part, &patient{pattern: pattern{re}}})
	})
}

// IsVolatile says whether a path is no part of the image. Each path is
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
