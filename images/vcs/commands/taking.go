package commands

import (
	"slices"
	"strconv"
	"strings"

	"cloudlets/images/vcs"
)

// Taking is what a command line says about files that the tool takes from a
// revision one by one, while the rest of the tree stays as it is.
type Taking struct {
	// Revision is the text that names the revision. "" is git's index, or the
	// revision on which Mercurial's tree is based.
	Revision string
	// Paths are arguments that select files. Without any, all are selected.
	Paths []string
	// List is the file with more such arguments, or "". Zeroed means that zero
	// bytes end them; otherwise [SplitLines] splits them.
	List   string
	Zeroed bool
	// Files and Index say what is changed: the files, and git's index.
	Files, Index bool
	// Parts means that a person selects parts of files.
	Parts bool
}

// The options with values of the commands that take files.
var (
	restoreGrammar  = grammar{"sU", []string{"source", "conflict", "pathspec-from-file", "unified", "inter-hunk-context"}}
	checkoutGrammar = grammar{"bBU", []string{"orphan", "conflict", "pathspec-from-file", "unified", "inter-hunk-context"}}
	stashGrammar    = grammar{"mU", []string{"message", "pathspec-from-file", "unified", "inter-hunk-context"}}
	commitGrammar   = grammar{"mFCct", []string{
		"message", "file", "reuse-message", "reedit-message", "template", "fixup", "squash", "author", "date", "cleanup", "trailer", "pathspec-from-file",
	}}
	revertGrammar = grammar{"rdIXt", []string{"rev", "date", "include", "exclude", "tool", "config", "cwd", "repository"}}
)

// Taking returns what the command takes from a revision. isRevision reports
// whether a word names one. The result is nil for any other command.
func (c Command) Taking(isRevision func(string) bool) *Taking {
	switch {
	case c.Kind == vcs.Hg && len(c.Name) >= 3 && strings.HasPrefix("revert", c.Name):
		return hgRevert(c.Args)
	case c.Kind == vcs.Hg:
		return nil
	case c.Name == "restore":
		return gitRestore(c.Args)
	case c.Name == "checkout", c.Name == "reset":
		return gitCheckout(c.Name, c.Args, isRevision)
	case c.Name == "stash":
		return gitStash(c.Args)
	}
	return nil
}

func gitRestore(args []string) *Taking {
	options, words, _ := restoreGrammar.parse(args)
	if isMerge(options) {
		return nil
	}
	staged := has(options, "S", "staged")
	t := &Taking{Paths: words, Index: staged, Files: !staged || has(options, "W", "worktree")}
	t.common(options)
	if source, ok := last(options, "s", "source"); ok {
		t.Revision = source
	} else if staged {
		t.Revision = "HEAD"
	}
	return t
}

// isMerge reports whether the files come from a merge and not from a revision.
func isMerge(options []option) bool {
	return has(options, "ours", "theirs", "m", "merge", "2", "3") || slices.ContainsFunc(options, func(o option) bool { return o.name == "conflict" })
}

// common reads the options that the commands of git share.
func (t *Taking) common(options []option) {
	t.Parts = has(options, "p", "patch")
	t.List, _ = last(options, "pathspec-from-file")
	t.Zeroed = has(options, "pathspec-file-nul")
}

// gitCheckout reads the arguments of checkout and of reset, which name a
// revision and paths in the same way. Without paths both are about the whole
// tree.
func gitCheckout(name string, args []string, isRevision func(string) bool) *Taking {
	options, words, before := checkoutGrammar.parse(args)
	if name == "checkout" && (isMerge(options) || has(options, "b", "B", "orphan", "d", "detach", "t", "track")) {
		return nil
	}
	t := &Taking{Files: name == "checkout", Index: true}
	t.common(options)
	switch {
	case before > 1:
		return nil // the tool refuses it
	case before == 1, before < 0 && len(words) > 0 && isRevision(words[0]):
		t.Revision, words = words[0], words[1:]
	case name == "reset":
		t.Revision = "HEAD"
	default:
		t.Index = false
	}
	if len(words) == 0 && t.List == "" && !t.Parts {
		return nil
	}
	t.Paths = words
	return t
}

// gitStash reads the arguments of a stash that takes only some paths away, so
// that these are as in HEAD again. A whole stash has the metadata file in it.
func gitStash(args []string) *Taking {
	if len(args) > 0 && args[0] == "push" {
		args = args[1:]
	} else if len(args) == 0 || args[0] != "--" && !strings.HasPrefix(args[0], "-") {
		return nil
	}
	options, words, _ := stashGrammar.parse(args)
	t := &Taking{Revision: "HEAD", Paths: words, Files: true, Index: true}
	t.common(options)
	if len(words) == 0 && t.List == "" && !t.Parts {
		return nil
	}
	return t
}

func hgRevert(args []string) *Taking {
	options, words, _ := revertGrammar.parse(args)
	if has(options, "n", "dry-run") {
		return nil
	}
	t := &Taking{Files: true, Parts: has(options, "i", "interactive"), Paths: words}
	if len(words) == 0 && !has(options, "a", "all", "I", "X", "i") {
		return nil // the tool asks for names
	}
	if date, ok := last(options, "d", "date"); ok {
		t.Revision = "last(date(" + quoteRevset(date) + "))"
	}
	if rev, ok := last(options, "r", "rev"); ok {
		t.Revision = rev
	}
	for _, o := range options {
		switch o.name {
		case "I", "include":
			t.Paths = append(t.Paths, "--include", o.value)
		case "X", "exclude":
			t.Paths = append(t.Paths, "--exclude", o.value)
		}
	}
	return t
}

// quoteRevset quotes a text for Mercurial's language of revisions.
func quoteRevset(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// SplitLines splits a list of paths: each line is a path, and one with special
// characters is quoted as in C.
func SplitLines(data []byte) (list []string) {
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if plain, err := strconv.Unquote(line); err == nil && strings.HasPrefix(line, `"`) {
			line = plain
		}
		if line != "" {
			list = append(list, line)
		}
	}
	return list
}
