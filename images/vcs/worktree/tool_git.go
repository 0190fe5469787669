//go:build unix

package worktree

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"

	"cloudlets/images/metadata"
	"cloudlets/images/vcs"
)

// gitTool runs git on an image.
type gitTool struct {
	dir   string
	merge []string // see Options.Merge
}

func (g *gitTool) folder(ctx context.Context) (string, error) {
	out, err := vcs.Ask(ctx, vcs.Git, g.dir, "rev-parse", "--absolute-git-dir")
	return strings.TrimSuffix(string(out), "\n"), err
}

// attributes make git treat every file as bytes, whatever the .gitattributes
// files of the image say, and merge the metadata file by its entries.
const attributes = `# Written by cloudlets: the files of an image are bytes, and no text to convert.
* -text !eol -ident -filter !working-tree-encoding
/` + metadataName + ` merge=` + mergeDriver + `
`

const mergeDriver = "cloudlet-metadata"

// prepare writes the attributes to the file that takes precedence over those of
// the image.
func (g *gitTool) prepare(ctx context.Context) error {
	out, err := vcs.Ask(ctx, vcs.Git, g.dir, "rev-parse", "--path-format=absolute", "--git-path", "info/attributes")
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(string(out), "\n")
	text, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if bytes.HasSuffix(text, []byte(attributes)) {
		return nil
	}
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	return writeAttributes(name, append(text, attributes...))
}

func writeAttributes(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return writeFile(name, text)
}

func (g *gitTool) tracked(ctx context.Context) ([]string, error) {
	out, err := vcs.Ask(ctx, vcs.Git, g.dir, "ls-files", "-z")
	return paths(out), err
}

// stage puts the metadata file unchanged into the index. Attributes and ignore
// files have no effect on that.
func (g *gitTool) stage(ctx context.Context, _ bool) error {
	object, err := vcs.Ask(ctx, vcs.Git, g.dir, "hash-object", "-w", "--no-filters", "--", metadataName)
	if err != nil {
		return err
	}
	info := "100644," + strings.TrimSpace(string(object)) + "," + metadataName
	_, err = vcs.Ask(ctx, vcs.Git, g.dir, "update-index", "--add", "--cacheinfo", info)
	return err
}

// options override the user's settings that could change an image's bytes, and
// the rules by which git would refuse names. They also make git ignore the
// change time (ctime) of files, which Apply changes all the time.
func (g *gitTool) options(ignore string, _ bool) []string {
	settings := []string{
		"safe.directory=" + g.dir, "core.autocrlf=false", "core.eol=lf", "core.safecrlf=false", "core.fileMode=true",
		"core.symlinks=true", "core.ignoreCase=false", "core.precomposeUnicode=false", "core.protectHFS=false",
		"core.protectNTFS=false", "core.trustctime=false", "core.fsmonitor=false", "core.attributesFile=" + os.DevNull,
		"core.excludesFile=" + ignore, "submodule.recurse=false", "add.ignoreErrors=false",
	}
	if len(g.merge) > 0 {
		settings = append(settings, "merge."+mergeDriver+".name=cloudlets metadata",
			"merge."+mergeDriver+".driver="+shellWords(g.merge)+" %O %A %B %A")
	}
	var args []string
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return args
}

// shellWords quotes words for a shell, and also for git, where % is special.
func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(strings.ReplaceAll(w, "'", `'\''`), "%", "%%") + "'"
	}
	return strings.Join(quoted, " ")
}

// env keeps git from finding a repository around the image.
func (g *gitTool) env() []string {
	return []string{"GIT_CEILING_DIRECTORIES=" + filepath.Dir(g.dir)}
}

// pattern returns a pattern that matches only the given path (gitignore(5)).
func (g *gitTool) pattern(p string, all bool) string {
	var b strings.Builder
	for i := range len(p) {
		switch c := p[i]; c {
		case '\\', '*', '?', '[':
			b.WriteByte('\\')
			b.WriteByte(c)
		case ' ', '\r': // git would strip these at the end of a line
			b.WriteString("[" + string(c) + "]")
		case '\n': // a line cannot contain it, so exclude all other bytes
			b.WriteString("[!\x01-\x09\x0b-\xff]")
		default:
			b.WriteByte(c)
		}
	}
	if all {
		b.WriteString("/*")
	}
	return b.String()
}

func (g *gitTool) committed(ctx context.Context) metadata.File {
	return parseCommitted(vcs.Ask(ctx, vcs.Git, g.dir, "cat-file", "blob", ":"+metadataName))
}

func (g *gitTool) resolved() string { return "add" }

func (g *gitTool) alias(ctx context.Context, name string) string {
	out, err := vcs.Ask(ctx, vcs.Git, g.dir, "config", "--get", "alias."+name)
	words := strings.Fields(string(out))
	if err != nil || len(words) == 0 || strings.HasPrefix(words[0], "!") {
		return ""
	}
	if at := commandAt(vcs.Git, words); at < len(words) {
		return words[at]
	}
	return ""
}
