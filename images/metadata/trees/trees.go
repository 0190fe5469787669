// Package trees stands between a file /.cloudlet/metadata and the tree of files of
// which it tells.
//
// [Collect] reads from any source what has to be recorded of it, and [Scan] does so
// from a directory of this computer; a [Scope] says which of it is part of the image.
// [Wrap] shows a tree as if it matched a [metadata.File], and [Apply] changes a
// directory so that it does. If root's rights are missing, what the user cannot have
// changed is taken from the file: see [Scan]. Scan and Apply are for Unix alone.
package trees

import "strings"

// parent is the directory that a path is in.
func parent(p string) string {
	return p[:max(strings.LastIndexByte(p, '/'), 1)]
}
