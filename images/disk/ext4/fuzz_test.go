package ext4_test

import (
	"bytes"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/imagetest"
)

// FuzzTree makes entries of arbitrary bytes. Whatever Plan accepts, e2fsck
// must accept too.
func FuzzTree(f *testing.F) {
	f.Add([]byte("\x02/a\n\x01/a/b\n\x03/l\n\x04/h"), "user.x", "value", "/a/b")
	f.Add([]byte("\x01/lost+found\n\x02/"), "system.posix_acl_access", imagetest.ACL([3]uint32{1, 7, imagetest.NoID}), "x")
	f.Add([]byte("\x05/dev\n\x07/p\n\x07/p"), "security.capability", imagetest.CapNetRaw, strings.Repeat("t", 70))
	f.Fuzz(func(t *testing.T, names []byte, attr, value, target string) {
		var m imagetest.Memory
		for line := range bytes.SplitSeq(names, []byte("\n")) {
			if len(line) < 2 {
				continue
			}
			e := images.Entry{Type: images.Type(line[0] % 9), Path: string(line[1:]), Link: target, Mode: uint32(line[0]) << 4}
			e.Major, e.Minor = uint32(line[0])<<5, uint32(line[1])<<13
			if e.Type == images.Regular {
				m.File(e.Path, []byte(value)).Xattrs = map[string]string{attr: value, "user.y": target}
				continue
			}
			m.Add(e)
		}
		l, err := ext4.Plan(t.Context(), m, ext4.Options{JournalSize: -1})
		if err != nil {
			return
		}
		fsck(t, write(t, l))
	})
}
