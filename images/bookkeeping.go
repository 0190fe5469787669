package images

import (
	"slices"
	"strings"
)

// bookkeepingPaths are the places of what keeps an image rather than being
// part of it: a repository in its root; the record of what a repository
// loses, and that record while it is written; what a disk has for a system
// that grows or keeps data.
var bookkeepingPaths = [...]string{
	"/.git", "/.hg", Dir + "/metadata", Dir + "/.metadata.part", Dir + "/preinit", Dir + "/persistent",
}

// BookkeepingPaths lists the paths that are no part of any image, each with
// all that is beneath it.
func BookkeepingPaths() []string { return slices.Clone(bookkeepingPaths[:]) }

// IsBookkeeping says whether a path is no part of any image, but of how it is
// kept, or beneath such a path.
func IsBookkeeping(p string) bool {
	if !strings.HasPrefix(p, "/.") {
		return false // as nearly all are not
	}
	for _, kept := range bookkeepingPaths {
		if rest, ok := strings.CutPrefix(p, kept); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}
