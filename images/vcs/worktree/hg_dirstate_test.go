//go:build linux

package worktree

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"cloudlets/images/vcs"
)

// FuzzDirstate reads Mercurial's list of files.
func FuzzDirstate(f *testing.F) {
	row := func(state byte, name string) []byte {
		b := append([]byte{state}, make([]byte, 12)...)
		return append(binary.BigEndian.AppendUint32(b, uint32(len(name))), name...)
	}
	head := make([]byte, dirstateHead)
	f.Add(slices.Concat(head, row('n', "a"), row('r', "gone"), row('a', "b\x00a")))
	f.Add(head)
	f.Add(head[:3])
	f.Fuzz(func(t *testing.T, text []byte) {
		files, err := parseDirstate(text)
		if err == nil && len(files) > len(text)/dirstateRow {
			t.Fatalf("%d files in %d bytes", len(files), len(text))
		}
	})
}

func TestDirstate(t *testing.T) {
	needTool(t, vcs.Hg)
	t.Parallel()
	dir := newImage(t)
	plant(t, dir, map[string]string{"a": "", "b": "", "sub/c": ""})
	run(t, vcs.Hg, dir, "init")
	commit(t, vcs.Hg, dir)
	run(t, vcs.Hg, dir, "mv", "a", "copy of a")
	files, err := readDirstate(dir + "/.hg")
	must(t, err)
	slices.Sort(files)
	if got := strings.Join(files, ", "); got != "b, copy of a, sub/c" {
		t.Errorf("Mercurial tracks %s", got)
	}
}
