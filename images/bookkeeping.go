package images

import "strings"

// bookkeepingPaths are the places of what keeps an image rather than being
// part of it: a repository in its root, the record of what a repository
// loses, and what a disk has for a system that grows or keeps data.
var bookkeepingPaths = [...]string{"/.git", "/.hg", Dir + "/metadata", Dir + "/preinit", Dir + "/persistent"}

// isBookkeeping says whether a path is one of [bookkeepingPaths] or beneath it.
func isBookkeeping(p string) bool {
	for _, kept := range bookkeepingPaths {
		if rest, ok := strings.CutPrefix(p, kept); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}
