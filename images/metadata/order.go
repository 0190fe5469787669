package metadata

import "strings"

// compareWalk compares paths in the order of a walk: a directory, then its
// contents, then the names that sort after it. That is the order of the paths'
// bytes, with "/" before all others.
func compareWalk(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		switch x, y := a[i], b[i]; {
		case x == y:
		case x == '/':
			return -1
		case y == '/':
			return 1
		default:
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

// parent returns the directory that contains a path.
func parent(p string) string {
	return p[:max(strings.LastIndexByte(p, '/'), 1)]
}
