//go:build unix

package worktree

import (
	"path"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/metadata"
	"cloudlets/images/metadata/trees"
)

// ignored returns the lines of an ignore file that hides from the tool
// everything that belongs neither to the image nor to the repository. If that
// is true for a whole directory, the directory gets a single line, because
// tools compare every file with every line. toolPath returns the name of a path
// in the tool's view.
func ignored(snapshot *trees.Snapshot, scope trees.Scope, t tool, toolPath func(string) string) string {
	var lines strings.Builder
	volatileLines(snapshot, scope, func(p string, all bool) { lines.WriteString(t.pattern(toolPath(p), all) + "\n") })
	lines.WriteString(alwaysIgnored(t))
	return lines.String()
}

// alwaysIgnored returns the lines that every ignore file has.
func alwaysIgnored(t tool) string {
	var lines strings.Builder
	for _, p := range []string{"/.git", "/.hg", metadata.Beside} {
		lines.WriteString(t.pattern(p, false) + "\n")
	}
	return lines.String()
}

// volatileLines calls write for each line that an ignore file needs for what is
// volatile and not kept. all means the contents of a directory.
func volatileLines(snapshot *trees.Snapshot, scope trees.Scope, write func(p string, all bool)) {
	if scope.Volatile == nil {
		return
	}
	g := ignorer{mixed: map[string]bool{}, filled: map[string]bool{}, covered: map[string]bool{}}
	snapshot.Paths(func(p string, typ images.Type) {
		out := scope.Volatile(p) && !scope.Kept(p)
		g.files = append(g.files, candidate{path: p, folder: typ == images.Directory, out: out})
	})
	g.sum()
	for _, f := range g.files {
		if line, all := g.decide(f); line {
			write(f.path, all)
		}
	}
}

// candidate is a file that may have to be ignored.
type candidate struct {
	path   string
	folder bool
	out    bool // the file itself is to be ignored
}

// ignorer decides which lines the ignore file gets.
type ignorer struct {
	files   []candidate     // in the order of a walk
	mixed   map[string]bool // directories with a file that must not be ignored
	filled  map[string]bool // directories with anything
	covered map[string]bool // directories whose contents are all ignored already
}

// sum notes for each directory what is below it.
func (g *ignorer) sum() {
	for _, f := range slices.Backward(g.files) {
		g.filled[path.Dir(f.path)] = true
		if !f.out || f.folder && g.mixed[f.path] {
			g.mixed[path.Dir(f.path)] = true
		}
	}
}

// decide reports whether a file needs a line, and whether that line is for the
// contents of a directory instead of the directory itself.
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
