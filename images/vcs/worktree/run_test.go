//go:build linux

package worktree

import (
	"path/filepath"
	"testing"

	"cloudlets/images/vcs"
)

func TestEverythingSurvives(t *testing.T) {
	eachKind(t, func(t *testing.T, kind vcs.Kind) {
		dir := everything(t)
		want := describeDir(t, dir)
		run(t, kind, dir, "init")
		same(t, "files after init", want, describeDir(t, dir))
		commit(t, kind, dir)
		same(t, "files after commit", want, describeDir(t, dir))
		clean(t, kind, dir)

		copied := filepath.Join(t.TempDir(), "clone")
		run(t, kind, copied, "clone", dir)
		same(t, "files after clone", withoutVolatile(want), describeDir(t, copied))
		clean(t, kind, copied)

		r, err := vcs.Open(t.Context(), dir, "")
		if err != nil {
			t.Fatal(err)
		}
		same(t, "files of the revision", withoutVolatile(want), describe(t, r))
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}
