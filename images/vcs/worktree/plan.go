//go:build unix

package worktree

import (
	"slices"
	"strings"

	"cloudlets/images/vcs"
)

// effect is what a command of a tool does to the files of the image.
type effect int

const (
	nothing effect = iota // it uses only the repository
	looks                 // it compares the files with the repository
	moves                 // it changes which files are in the repository, and may move them
	changes               // it writes files; unknown commands count as such
	creates               // it makes a repository
	clones                // it makes a repository with files
)

// plan is what is known about a command line.
type plan struct {
	name   string // of the command, or ""
	at     int    // its index in the arguments
	effect effect
	// commits means that the command makes a revision. The revision must
	// include the metadata.
	commits bool
}

// planOf finds the command in a tool's arguments. alias resolves an unknown
// name to the command for which it stands.
func planOf(kind vcs.Kind, args []string, alias func(name string) string) plan {
	p := plan{at: commandAt(kind, args)}
	if p.at == len(args) {
		return p
	}
	p.name = args[p.at]
	known := commandsOf(kind)
	e, ok := known[p.name]
	if !ok && alias != nil {
		if name := alias(p.name); name != "" {
			p.name = name
			e, ok = known[name]
		}
	}
	if p.effect = e; !ok {
		p.effect = changes
	}
	p.commits = p.name == "commit" || kind == vcs.Hg && isHgCommit(p.name)
	if p.commits {
		p.effect = looks
	}
	// Continuing after a conflict commits as well.
	p.commits = p.commits || slices.Contains(args[p.at:], "--continue")
	return p
}

// isHgCommit reports whether name is a form of commit: Mercurial accepts any
// unambiguous prefix of a command.
func isHgCommit(name string) bool {
	return name == "ci" || len(name) >= 3 && strings.HasPrefix("commit", name)
}

// commandAt returns the index of the first argument that is neither an option
// of the tool nor the value of an option.
func commandAt(kind vcs.Kind, args []string) int {
	valued := []string{"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--config-env", "--super-prefix"}
	if kind == vcs.Hg {
		valued = []string{"-R", "--repository", "--cwd", "--config", "--encoding", "--encodingmode", "--color", "--pager"}
	}
	for i := 0; i < len(args); i++ {
		switch {
		case slices.Contains(valued, args[i]):
			i++
		case !strings.HasPrefix(args[i], "-"):
			return i
		}
	}
	return len(args)
}

// commandsOf returns the effects of all commands that do not change files
// arbitrarily.
func commandsOf(kind vcs.Kind) map[string]effect {
	lists := map[effect]string{
		nothing: "archive branch bundle cat-file config count-objects describe fetch for-each-ref format-patch fsck gc help log ls-remote " +
			"ls-tree maintenance merge-base name-rev notes prune push range-diff reflog remote repack rev-list rev-parse shortlog show " +
			"show-branch show-ref tag var version whatchanged worktree",
		looks:   "annotate blame check-ignore commit diff diff-files diff-index difftool grep ls-files status update-index",
		moves:   "add mv rm stage",
		creates: "init",
		clones:  "clone",
	}
	if kind == vcs.Hg {
		lists = map[effect]string{
			nothing: "annotate blame bookmarks branch branches bundle cat config export heads help history in incoming log manifest out " +
				"outgoing parents paths phase push root serve showconfig tags tip verify version",
			looks:   "commit diff files grep id identify locate st status sum summary",
			moves:   "add addremove copy cp forget move mv remove rename rm",
			creates: "init",
			clones:  "clone",
		}
	}
	known := map[string]effect{}
	for e, names := range lists {
		for name := range strings.FieldsSeq(names) {
			known[name] = e
		}
	}
	return known
}
