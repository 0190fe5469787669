package images

import (
	"slices"
	"strings"
)

// bookkeepingPaths are the paths that serve to keep an image and are not part
// of its content: a repository in its root; the file for the metadata that a
// repository loses, and the temporary file that is used while writing it; the
// directories that a disk has for a system that grows or keeps data; and what
// belongs to one slot of a disk with two, e.g. its boot menu.
var bookkeepingPaths = [...]string{
	"/.git", "/.hg", Dir + "/metadata", Dir + "/.metadata.part", Dir + "/preinit", Dir + "/persistent", Dir + "/slot", DiskOptionsPath,
}

// BookkeepingPaths returns the paths that are not part of any image. Everything
// below such a path is not part of the image either.
func BookkeepingPaths() []string { return slices.Clone(bookkeepingPaths[:]) }

// IsBookkeeping reports whether p is one of the [BookkeepingPaths] or below
// one.
func IsBookkeeping(p string) bool {
	if !strings.HasPrefix(p, "/.") {
		return false // fast path, taken by nearly all paths
	}
	for _, kept := range bookkeepingPaths {
		if rest, ok := strings.CutPrefix(p, kept); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}
