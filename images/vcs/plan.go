//go:build unix

package vcs

import (
	"slices"
	"strings"
)

// effect is what a command of a tool has to do with the files of the image.
type effect int

const (
	nothing effect = iota // it reads and writes the repository only
	looks                 // it compares the files with the repository
	moves                 // it says which files are in the repository, and may move them
	changes               // it writes files; so do commands that are not known
	creates               // it makes a repository
	clones                // it makes one with files
)

// plan is what is known of a command line.
type plan struct {
	name   string // of the command; "" is none
	at     int    // its index in the arguments
	effect effect
	// commits says that it makes a revision, to which the metadata belongs.
	commits bool
}

// planOf looks for the command among a tool's arguments. alias resolves a
// name that is not known to what it stands for.
func planOf(kind Kind, args []string, alias func(name string) string) plan {
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
	p.commits = p.name == "commit" || kind == Hg && isHgCommit(p.name)
	if p.commits {
		p.effect = looks
	}
	// What goes on after a conflict commits as well.
	p.commits = p.commits || slices.Contains(args[p.at:], "--continue")
	return p
}

// isHgCommit knows that Mercurial takes every beginning of a name for it.
func isHgCommit(name string) bool {
	return name == "ci" || len(name) >= 3 && strings.HasPrefix("commit", name)
}

// commandAt is the index of the first argument that is neither an option of
// the tool nor an option's value.
func commandAt(kind Kind, args []string) int {
	valued := []string{"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--config-env", "--super-prefix"}
	if kind == Hg {
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

// commandsOf lists what the commands do that do less than change files.
func commandsOf(kind Kind) map[string]effect {
	lists := map[effect]string{
		nothing: "archive branch bundle cat-file config count-objects describe fetch for-each-ref format-patch fsck gc help log ls-remote " +
			"ls-tree maintenance merge-base name-rev notes prune push range-diff reflog remote repack rev-list rev-parse shortlog show " +
			"show-branch show-ref tag var version whatchanged worktree",
		looks:   "annotate blame check-ignore commit diff diff-files diff-index difftool grep ls-files status update-index",
		moves:   "add mv rm stage",
		creates: "init",
		clones:  "clone",
	}
	if kind == Hg {
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
