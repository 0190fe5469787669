// Package commands reads command lines of git and Mercurial: what a command does to
// the files of the tree, which of them it commits, and which it takes from a
// revision. It runs nothing, and reads no files.
package commands

import (
	"slices"
	"strings"

	"cloudlets/images/vcs"
)

// Effect is what a command of a tool does to the files of the tree.
type Effect int

// The effects.
const (
	Nothing Effect = iota // it uses only the repository
	Looks                 // it compares the files with the repository
	Moves                 // it changes which files are in the repository, and may move them
	Changes               // it writes files; unknown commands count as such
	Creates               // it makes a repository
	Clones                // it makes a repository with files
)

// Command is what is known about a command line.
type Command struct {
	Kind   vcs.Kind // of the tool
	Name   string   // of the command, or ""
	At     int      // the name's index in the arguments
	Effect Effect
	// Commits means that the command makes a revision. The revision must
	// include the metadata.
	Commits bool
	// Global are the tool's own options, and Args the arguments that follow the
	// name. An alias is replaced by what it stands for.
	Global, Args []string
}

// Read finds the command in a tool's arguments. alias returns the words for which an
// unknown name stands, given the tool's own options; it may be nil.
func Read(kind vcs.Kind, args []string, alias func(global []string, name string) []string) Command {
	c := Command{Kind: kind, At: commandAt(kind, args)}
	if c.At == len(args) {
		return c
	}
	c.Name, c.Global, c.Args = args[c.At], args[:c.At], args[c.At+1:]
	known := commandsOf(kind)
	e, ok := known[c.Name]
	if !ok && alias != nil {
		words := alias(c.Global, c.Name)
		if at := commandAt(kind, words); at < len(words) {
			c.Name, c.Global, c.Args = words[at], slices.Concat(c.Global, words[:at]), slices.Concat(words[at+1:], c.Args)
			e, ok = known[c.Name]
		}
	}
	if c.Effect = e; !ok {
		c.Effect = Changes
	}
	c.Commits = c.Name == "commit" || kind == vcs.Hg && isHgCommit(c.Name)
	if c.Commits {
		c.Effect = Looks
	}
	// Continuing after a conflict commits as well.
	c.Commits = c.Commits || slices.Contains(args[c.At:], "--continue")
	return c
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
func commandsOf(kind vcs.Kind) map[string]Effect {
	lists := map[Effect]string{
		Nothing: "archive branch bundle cat-file config count-objects describe fetch for-each-ref format-patch fsck gc help log ls-remote " +
			"ls-tree maintenance merge-base name-rev notes prune push range-diff reflog remote repack rev-list rev-parse shortlog show " +
			"show-branch show-ref tag var version whatchanged worktree",
		Looks:   "annotate blame check-ignore commit diff diff-files diff-index difftool grep ls-files status update-index",
		Moves:   "add mv rm stage",
		Creates: "init",
		Clones:  "clone",
	}
	if kind == vcs.Hg {
		lists = map[Effect]string{
			Nothing: "annotate blame bookmarks branch branches bundle cat config export heads help history in incoming log manifest out " +
				"outgoing parents paths phase push root serve showconfig tags tip verify version",
			Looks:   "commit diff files grep id identify locate st status sum summary",
			Moves:   "add addremove copy cp forget move mv remove rename rm",
			Creates: "init",
			Clones:  "clone",
		}
	}
	known := map[string]Effect{}
	for e, names := range lists {
		for name := range strings.FieldsSeq(names) {
			known[name] = e
		}
	}
	return known
}

// Committing says which files a commit takes from the tree, besides what was
// added to the repository before.
type Committing struct {
	All   bool // all files
	Paths []string
	// Only means that nothing else is committed, so that the metadata file has
	// to be named as well.
	Only bool
}

// Committing reads the arguments of a commit.
func (c Command) Committing() Committing {
	if c.Kind == vcs.Hg {
		options, _, _ := grammar{letters: "mlduIX"}.parse(c.Args)
		return Committing{All: has(options, "A", "addremove")}
	}
	options, words, _ := commitGrammar.parse(c.Args)
	return Committing{
		All: has(options, "a", "all"), Paths: words,
		Only: len(words) > 0 && !has(options, "i", "include"),
	}
}
