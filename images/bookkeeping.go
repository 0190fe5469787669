package images

import "strings"

// isBookkeeping says whether a path belongs to what keeps an image rather
// than to the image: a repository in its root, or the record of what a
// repository loses.
func isBookkeeping(p string) bool {
	for _, kept := range [...]string{"/.git", "/.hg", Dir + "/metadata", Dir + "/preinit", Dir + "/persistent"} {
		if rest, ok := strings.CutPrefix(p, kept); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}
