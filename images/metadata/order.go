package metadata

import "strings"

// compareWalk orders paths as a walk meets them: a directory, then what is in
// it, then what comes after it by the bytes of its name. That is the order of
// the paths' bytes with "/" before all others.
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

// parent is the directory that a path is in.
func parent(p string) string {
	return p[:max(strings.LastIndexByte(p, '/'), 1)]
}
