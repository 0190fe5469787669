package images

import "strings"

// bookkeepingPaths are the places of what keeps an image rather than being
// part of it: a repository in its root, and the record of what a repository
// loses.
var bookkeepingPaths = [...]string{"/.git", "/.hg", Dir + "/metadata"}

// isBookkeeping says whether a path is one of [bookkeepingPaths] or beneath it.
func isBookkeeping(p string) bool {
	for _, kept := range bookkeepingPaths {
		if rest, ok := strings.CutPrefix(p, kept); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}
