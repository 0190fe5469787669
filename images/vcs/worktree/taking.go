//go:build unix

package worktree

import (
	"slices"
	"strconv"
	"strings"

	"cloudlets/images/vcs"
)

// taking is what a command line says about files that the tool takes from a
// revision one by one, while the rest of the tree stays as it is.
type taking struct {
	// revision is the text that names the revision. "" is git's index, or the
	// revision on which Mercurial's tree is based.
	revision string
	// paths are arguments that select files. Without any, all are selected.
	paths []string
	// list is the file with more such arguments, or "". zeroed means that zero
	// bytes end them.
	list   string
	zeroed bool
	// files and index say what is changed: the files, and git's index.
	files, index bool
	// parts means that a person selects parts of files.
	parts bool
}

// grammar describes the options of a command.
type grammar struct {
	letters string   // the options of one letter that have a value
	names   []string // the long options that have a value
}

// option is one option of a command line. Its name has no dashes.
type option struct{ name, value string }

// parse splits arguments into options and words. before is the number of words
// that precede "--", or -1 if there is no "--". The tools accept abbreviations
// of long options.
func (g grammar) parse(args []string) (options []option, words []string, before int) {
	for i := 0; i < len(args); i++ {
		next := func() string {
			if i++; i < len(args) {
				return args[i]
			}
			return ""
		}
		switch arg := args[i]; {
		case arg == "--":
			return options, append(words, args[i+1:]...), len(words)
		case strings.HasPrefix(arg, "--"):
			name, value, given := strings.Cut(arg[2:], "=")
			if at := slices.IndexFunc(g.names, func(n string) bool { return strings.HasPrefix(n, name) }); at >= 0 {
				if name = g.names[at]; !given {
					value = next()
				}
			}
			options = append(options, option{name, value})
		case len(arg) > 1 && arg[0] == '-':
			options = append(options, g.cluster(arg[1:], next)...)
		default:
			words = append(words, arg)
		}
	}
	return options, words, -1
}

// cluster splits options of one letter, as in -qs v1.
func (g grammar) cluster(letters string, next func() string) (options []option) {
	for i := range len(letters) {
		o := option{name: letters[i : i+1]}
		if !strings.Contains(g.letters, o.name) {
			options = append(options, o)
			continue
		}
		if o.value = letters[i+1:]; o.value == "" {
			o.value = next()
		}
		return append(options, o)
	}
	return options
}

// has reports whether one of the names is among the options. A long name may be
// abbreviated.
func has(options []option, names ...string) bool {
	return slices.ContainsFunc(options, func(o option) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			return o.name == name || len(o.name) > 2 && len(name) > 1 && strings.HasPrefix(name, o.name)
		})
	})
}

// last returns the value of the last of the options with one of the names.
func last(options []option, names ...string) (value string, ok bool) {
	for _, o := range options {
		if slices.Contains(names, o.name) {
			value, ok = o.value, true
		}
	}
	return value, ok
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

// takingOf returns what a command takes. args follow the name of the command.
// isRevision reports whether a word names a revision. The result is nil for
// any other command.
func takingOf(kind vcs.Kind, name string, args []string, isRevision func(string) bool) *taking {
	switch {
	case kind == vcs.Hg && len(name) >= 3 && strings.HasPrefix("revert", name):
		return hgRevert(args)
	case kind == vcs.Hg:
		return nil
	case name == "restore":
		return gitRestore(args)
	case name == "checkout", name == "reset":
		return gitCheckout(name, args, isRevision)
	case name == "stash":
		return gitStash(args)
	}
	return nil
}

func gitRestore(args []string) *taking {
	options, words, _ := restoreGrammar.parse(args)
	if isMerge(options) {
		return nil
	}
	staged := has(options, "S", "staged")
	t := &taking{paths: words, index: staged, files: !staged || has(options, "W", "worktree")}
	t.common(options)
	if source, ok := last(options, "s", "source"); ok {
		t.revision = source
	} else if staged {
		t.revision = "HEAD"
	}
	return t
}

// isMerge reports whether the files come from a merge and not from a revision.
func isMerge(options []option) bool {
	return has(options, "ours", "theirs", "m", "merge", "2", "3") || slices.ContainsFunc(options, func(o option) bool { return o.name == "conflict" })
}

// common reads the options that the commands of git share.
func (t *taking) common(options []option) {
	t.parts = has(options, "p", "patch")
	t.list, _ = last(options, "pathspec-from-file")
	t.zeroed = has(options, "pathspec-file-nul")
}

// gitCheckout reads the arguments of checkout and of reset, which name a
// revision and paths in the same way. Without paths both are about the whole
// tree.
func gitCheckout(name string, args []string, isRevision func(string) bool) *taking {
	options, words, before := checkoutGrammar.parse(args)
	if name == "checkout" && (isMerge(options) || has(options, "b", "B", "orphan", "d", "detach", "t", "track")) {
		return nil
	}
	t := &taking{files: name == "checkout", index: true}
	t.common(options)
	switch {
	case before > 1:
		return nil // the tool refuses it
	case before == 1, before < 0 && len(words) > 0 && isRevision(words[0]):
		t.revision, words = words[0], words[1:]
	case name == "reset":
		t.revision = "HEAD"
	default:
		t.index = false
	}
	if len(words) == 0 && t.list == "" && !t.parts {
		return nil
	}
	t.paths = words
	return t
}

// gitStash reads the arguments of a stash that takes only some paths away, so
// that these are as in HEAD again. A whole stash has the metadata file in it.
func gitStash(args []string) *taking {
	if len(args) > 0 && args[0] == "push" {
		args = args[1:]
	} else if len(args) == 0 || args[0] != "--" && !strings.HasPrefix(args[0], "-") {
		return nil
	}
	options, words, _ := stashGrammar.parse(args)
	t := &taking{revision: "HEAD", paths: words, files: true, index: true}
	t.common(options)
	if len(words) == 0 && t.list == "" && !t.parts {
		return nil
	}
	return t
}

func hgRevert(args []string) *taking {
	options, words, _ := revertGrammar.parse(args)
	if has(options, "n", "dry-run") {
		return nil
	}
	t := &taking{files: true, parts: has(options, "i", "interactive"), paths: words}
	if len(words) == 0 && !has(options, "a", "all", "I", "X", "i") {
		return nil // the tool asks for names
	}
	if date, ok := last(options, "d", "date"); ok {
		t.revision = "last(date(" + quoteRevset(date) + "))"
	}
	if rev, ok := last(options, "r", "rev"); ok {
		t.revision = rev
	}
	for _, o := range options {
		switch o.name {
		case "I", "include":
			t.paths = append(t.paths, "--include", o.value)
		case "X", "exclude":
			t.paths = append(t.paths, "--exclude", o.value)
		}
	}
	return t
}

// quoteRevset quotes a text for Mercurial's language of revisions.
func quoteRevset(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// splitList splits a list of paths. Without zero bytes each line is a path, and
// a path with special characters is quoted as in C.
func splitList(data []byte, zeroed bool) []string {
	if zeroed {
		return paths(data)
	}
	var list []string
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
