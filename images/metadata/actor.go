package metadata

import (
	"maps"
	"runtime"
	"slices"
	"strings"

	"cloudlets/images"
)

// actor is whoever made a directory's files be as they are.
type actor struct {
	limited bool // by the rights of an ordinary user
	uid     uint32
}

// mean turns what is there into what is meant by it, where the directory was
// made from recorded metadata by the limited user that the files belong to.
func (a *actor) mean(e *images.Entry, rec Record, recorded bool) {
	if e.UID == a.uid {
		e.UID, e.GID = rec.UID, rec.GID
	}
	if !recorded {
		return
	}
	if rec.HasMode && slices.Contains([]uint32{rec.Mode, rec.Mode &^ 0o6000, limitedMode(e.Type, rec.Mode)}, e.Mode) {
		e.Mode = rec.Mode
	}
	xattrs := maps.Clone(e.Xattrs)
	for name, value := range rec.Xattrs {
		if _, there := xattrs[name]; there || isOwnXattr(name) {
			continue
		}
		if xattrs == nil {
			xattrs = map[string]string{}
		}
		xattrs[name] = value
	}
	e.Xattrs = xattrs
}

// limitedMode is the mode that an ordinary user gives a file: without the
// rights of its owner that it does not belong to, and so that the user can
// read it.
func limitedMode(t images.Type, mode uint32) uint32 {
	mode &^= 0o6000
	if t == images.Directory {
		return mode | 0o700
	}
	return mode | 0o400
}

// isOwnXattr says whether a file's owner may set an extended attribute, so
// that one that is not there was taken away. Other hosts than Linux have none.
func isOwnXattr(name string) bool {
	return runtime.GOOS == "linux" && (strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "system.posix_acl_"))
}
