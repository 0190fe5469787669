//go:build linux

package worktree

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"cloudlets/images/vcs"
)

func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		kind    vcs.Kind
		args    string
		effect  effect
		commits bool
	}{
		{vcs.Git, "log -p", nothing, false},
		{vcs.Git, "-c a=b --no-pager log", nothing, false},
		{vcs.Git, "status", looks, false},
		{vcs.Git, "-C sub commit -m x", looks, true},
		{vcs.Git, "add .", moves, false},
		{vcs.Git, "checkout main", changes, false},
		{vcs.Git, "rebase --continue", changes, true},
		{vcs.Git, "frobnicate", changes, false},
		{vcs.Git, "ci -m x", looks, true},
		{vcs.Git, "init", creates, false},
		{vcs.Git, "clone x", clones, false},
		{vcs.Git, "--version", nothing, false},
		{vcs.Hg, "ci -m x", looks, true},
		{vcs.Hg, "commi -m x", looks, true},
		{vcs.Hg, "--cwd x status", looks, false},
		{vcs.Hg, "update", changes, false},
		{vcs.Hg, "mv a b", moves, false},
	} {
		alias := func(name string) []string { return strings.Fields(map[string]string{"ci": "commit"}[name]) }
		p := planOf(tt.kind, strings.Fields(tt.args), alias)
		if p.effect != tt.effect || p.commits != tt.commits {
			t.Errorf("%s %s: effect %d, commits %v; want %d, %v", tt.kind, tt.args, p.effect, p.commits, tt.effect, tt.commits)
		}
	}
}

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
