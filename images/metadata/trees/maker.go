package trees

import (
	"maps"
	"runtime"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/metadata"
)

// maker is the user who made the files of a directory.
type maker struct {
	limited bool // this user is not root
	uid     uint32
}

// correct replaces what the filesystem shows by what is intended. It applies to
// a directory that a limited user made from recorded metadata. The files that
// belong to that user get the recorded owner. A mode or an attribute that the
// user was unable to set is taken from the record, too.
func (a *maker) correct(e *images.Entry, rec metadata.Record, recorded bool) {
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

// limitedMode returns the mode that an ordinary user gives a file: without
// setuid and setgid, because the file has the wrong owner, and readable for the
// user.
func limitedMode(t images.Type, mode uint32) uint32 {
	mode &^= 0o6000
	if t == images.Directory {
		return mode | 0o700
	}
	return mode | 0o400
}

// isOwnXattr reports whether a file's owner may set this extended attribute. If
// so, a missing attribute means that the owner removed it. Only Linux has
// extended attributes here.
func isOwnXattr(name string) bool {
	return runtime.GOOS == "linux" && (strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "system.posix_acl_"))
}
