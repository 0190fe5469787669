//go:build unix

package worktree

import (
	"context"
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
	// global are the tool's own options, and args the arguments that follow the
	// name. An alias is replaced by what it stands for.
	global, args []string
}

// planOf finds the command in a tool's arguments. alias returns the words
// for which an unknown name stands.
func planOf(kind vcs.Kind, args []string, alias func(name string) []string) plan {
	p := plan{at: commandAt(kind, args)}
	if p.at == len(args) {
		return p
	}
	p.name, p.global, p.args = args[p.at], args[:p.at], args[p.at+1:]
	known := commandsOf(kind)
	e, ok := known[p.name]
	if !ok && alias != nil {
		words := alias(p.name)
		if at := commandAt(kind, words); at < len(words) {
			p.name, p.global, p.args = words[at], slices.Concat(p.global, words[:at]), slices.Concat(words[at+1:], p.args)
			e, ok = known[p.name]
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

// committing says which files a commit takes from the tree, besides what was
// added to the repository before.
type committing struct {
	all   bool // all files
	paths []string
	// only means that nothing else is committed, so that the metadata file has
	// to be named as well.
	only bool
}

// committingOf reads the arguments of a commit.
func committingOf(kind vcs.Kind, args []string) committing {
	if kind == vcs.Hg {
		options, _, _ := grammar{letters: "mlduIX"}.parse(args)
		return committing{all: has(options, "A", "addremove")}
	}
	options, words, _ := commitGrammar.parse(args)
	return committing{
		all: has(options, "a", "all"), paths: words,
		only: len(words) > 0 && !has(options, "i", "include"),
	}
}

// staying returns the files that stay in the repository, of those that the tree
// lacks: a commit may be about to remove the others.
func (s *session) staying(ctx context.Context, gone []string) ([]string, error) {
	if len(gone) == 0 || !s.plan.commits || s.plan.effect != looks {
		return gone, nil
	}
	c := committingOf(s.Kind, s.plan.args)
	switch {
	case c.all:
		return nil, nil
	case len(c.paths) == 0:
		return gone, nil
	}
	names, err := s.tool.selected(ctx, s.plan.global, "", c.paths)
	if err != nil {
		return gone, nil //nolint:nilerr // the tool says what is wrong with the paths
	}
	removed := map[string]bool{}
	for _, name := range names {
		if p, err := vcs.UnescapePath(name); err == nil {
			removed[p] = true
		}
	}
	return slices.DeleteFunc(gone, func(p string) bool { return removed[p] }), nil
}

// arguments returns the arguments with which the tool runs. A commit of some
// files only gets the metadata file as one of them.
func (s *session) arguments() []string {
	if s.Kind != vcs.Git || s.plan.name != "commit" || !exists(s.Dir, metadataName) || !committingOf(s.Kind, s.plan.args).only {
		return s.Args
	}
	name := ":(top)" + metadataName
	if slices.Contains(s.plan.global, "--literal-pathspecs") {
		name = metadataName
	}
	return slices.Insert(slices.Clone(s.Args), s.plan.at+1, name)
}
