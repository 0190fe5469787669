//go:build unix

package vcs

import (
	"path"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/metadata"
)

// ignored lists what the tool shall not see of a tree, as lines of an ignore
// file: what is in the scope of neither the image nor the repository. A
// directory of which that is true altogether is one line: tools compare every
// file with every line. toolPath is what the tool calls a path.
func ignored(snapshot *metadata.Snapshot, scope metadata.Scope, t tool, toolPath func(string) string) string {
	g := ignorer{mixed: map[string]bool{}, filled: map[string]bool{}, covered: map[string]bool{}}
	snapshot.Paths(func(p string, typ images.Type) {
		out := scope.Volatile != nil && scope.Volatile(p) && !scope.Kept(p)
		g.files = append(g.files, candidate{path: p, folder: typ == images.Directory, out: out})
	})
	g.sum()
	var lines strings.Builder
	for _, f := range g.files {
		if line, all := g.decide(f); line {
			lines.WriteString(t.pattern(toolPath(f.path), all) + "\n")
		}
	}
	for _, p := range []string{"/.git", "/.hg", metadata.Beside} {
		lines.WriteString(t.pattern(p, false) + "\n")
	}
	return lines.String()
}

// candidate is a file that may have to be ignored.
type candidate struct {
	path   string
	folder bool
	out    bool // it is to be ignored by itself
}

// ignorer decides which lines an ignore file has.
type ignorer struct {
	files   []candidate     // in the order of a walk
	mixed   map[string]bool // directories with something that is not to be ignored
	filled  map[string]bool // directories with anything
	covered map[string]bool // directories of which all is ignored already
}

// sum tells each directory what is beneath it.
func (g *ignorer) sum() {
	for _, f := range slices.Backward(g.files) {
		g.filled[path.Dir(f.path)] = true
		if !f.out || f.folder && g.mixed[f.path] {
			g.mixed[path.Dir(f.path)] = true
		}
	}
}

// decide says whether a file needs a line, and whether that is for all that
// is in it instead of the file itself.
func (g *ignorer) decide(f candidate) (line, all bool) {
	pure := !f.folder || !g.mixed[f.path]
	switch {
	case f.path == "/":
		return false, false
	case g.covered[path.Dir(f.path)]:
		g.covered[f.path] = f.folder
		return false, false
	case f.out && pure:
		g.covered[f.path] = f.folder
		return true, false
	case f.folder && pure && g.filled[f.path]:
		g.covered[f.path] = true
		return true, true
	}
	return false, false
}
