package metadata

import "strings"

// parent is the directory that a path is in.
func parent(p string) string {
	return p[:max(strings.LastIndexByte(p, '/'), 1)]
}
