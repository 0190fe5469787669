package vcs

import (
	"path"
	"strings"

	"cloudlets/images"
	"cloudlets/images/metadata"
)

// ignored lists what the tool shall not see of a tree, as lines of an ignore
// file: what is in the scope of neither the image nor the repository. A
// directory of which that is true altogether is one line. toolPath is what
// the tool calls a path.
func ignored(snapshot *metadata.Snapshot, scope metadata.Scope, t tool, toolPath func(string) string) string {
	type file struct {
		path   string
		folder bool
		out    bool
	}
	var files []file
	snapshot.Paths(func(p string, typ images.Type) {
		out := scope.Volatile != nil && scope.Volatile(p) && !scope.Kept(p)
		files = append(files, file{p, typ == images.Directory, out})
	})
	mixed, filled := map[string]bool{}, map[string]bool{}
	for i := len(files) - 1; i >= 0; i-- {
		f := files[i]
		filled[path.Dir(f.path)] = true
		if !f.out || f.folder && mixed[f.path] {
			mixed[path.Dir(f.path)] = true
		}
	}
	var lines strings.Builder
	covered := map[string]bool{}
	for _, f := range files {
		if f.path != "/" && covered[path.Dir(f.path)] {
			covered[f.path] = f.folder
			continue
		}
		whole := f.folder && filled[f.path] && !mixed[f.path]
		switch {
		case f.out && (!f.folder || !mixed[f.path]):
			lines.WriteString(t.pattern(toolPath(f.path), false) + "\n")
			covered[f.path] = f.folder
		case whole && f.path != "/":
			lines.WriteString(t.pattern(toolPath(f.path), true) + "\n")
			covered[f.path] = true
		}
	}
	for _, p := range []string{"/.git", "/.hg", metadata.Beside} {
		lines.WriteString(t.pattern(p, false) + "\n")
	}
	return lines.String()
}
