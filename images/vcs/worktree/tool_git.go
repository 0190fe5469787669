//go:build unix

package worktree

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
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
	if folder, ok := g.plainFolder(); ok {
		return folder, nil
	}
	out, err := vcs.Ask(ctx, vcs.Git, g.dir, "rev-parse", "--absolute-git-dir")
	return strings.TrimSuffix(string(out), "\n"), err
}

// plainFolder returns the repository's own folder if it is a plain one, which
// nearly all are. Starting git to ask for it takes milliseconds. A folder that
// is somewhere else, or that shares another one's objects, is for git to find.
func (g *gitTool) plainFolder() (string, bool) {
	folder := filepath.Join(g.dir, ".git")
	for _, name := range []string{"", "objects", "refs"} {
		if info, err := os.Lstat(filepath.Join(folder, name)); err != nil || !info.IsDir() {
			return "", false
		}
	}
	return folder, exists(folder, "HEAD") && !exists(folder, "commondir")
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
	if err := g.dropIndexCopy(); err != nil {
		return err
	}
	name, err := g.attributesFile(ctx)
	if err != nil {
		return err
	}
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

func (g *gitTool) attributesFile(ctx context.Context) (string, error) {
	if folder, ok := g.plainFolder(); ok {
		return filepath.Join(folder, "info", "attributes"), nil
	}
	out, err := vcs.Ask(ctx, vcs.Git, g.dir, "rev-parse", "--path-format=absolute", "--git-path", "info/attributes")
	return strings.TrimSuffix(string(out), "\n"), err
}

func writeAttributes(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return writeFile(name, text)
}

func (g *gitTool) tracked(ctx context.Context) ([]string, error) {
	if index, _, err := g.readIndex(); err == nil {
		if index == nil {
			return nil, nil
		}
		return index.Names, nil
	}
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
	return g.stageObject(ctx, object)
}

func (g *gitTool) stageText(ctx context.Context, text string) error {
	cmd, err := vcs.Quiet(ctx, vcs.Git, g.dir, "hash-object", "-w", "--stdin")
	if err != nil {
		return err
	}
	cmd.Stdin = strings.NewReader(text)
	object, err := vcs.Output(cmd)
	if err != nil {
		return err
	}
	return g.stageObject(ctx, object)
}

// stageObject puts an object into the index as the metadata file.
func (g *gitTool) stageObject(ctx context.Context, object []byte) error {
	info := "100644," + strings.TrimSpace(string(object)) + "," + metadataName
	_, err := vcs.Ask(ctx, vcs.Git, g.dir, "update-index", "--add", "--cacheinfo", info)
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

func (g *gitTool) alias(ctx context.Context, global []string, name string) []string {
	out, err := vcs.Ask(ctx, vcs.Git, g.dir, append(slices.Clone(global), "config", "--get", "alias."+name)...)
	words := strings.Fields(string(out))
	if err != nil || len(words) == 0 || strings.HasPrefix(words[0], "!") {
		return nil
	}
	return words
}

// revision returns the hash of a tree.
func (g *gitTool) revision(ctx context.Context, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if name == "-" {
		name = "@{-1}"
	}
	if a, b, both := strings.Cut(name, "..."); both { // the common ancestor, as checkout and restore take it
		out, err := vcs.Ask(ctx, vcs.Git, g.dir, "merge-base", orHead(a), orHead(b))
		if err != nil {
			return "", err
		}
		name = strings.TrimSpace(string(out))
	}
	out, err := vcs.Ask(ctx, vcs.Git, g.dir, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{tree}")
	return strings.TrimSpace(string(out)), err
}

func orHead(name string) string {
	if name == "" {
		return "HEAD"
	}
	return name
}

func (g *gitTool) recorded(ctx context.Context, tree string) (metadata.File, error) {
	list := []string{"ls-files", "-z", "--", metadataName}
	if tree != "" {
		list = []string{"ls-tree", "-z", "--name-only", "--full-tree", tree, metadataName}
	}
	if out, err := vcs.Ask(ctx, vcs.Git, g.dir, list...); err != nil || len(out) == 0 {
		return metadata.File{}, err
	}
	out, err := vcs.Ask(ctx, vcs.Git, g.dir, "cat-file", "blob", tree+":"+metadataName)
	if err != nil {
		return metadata.File{}, err
	}
	return parseRecorded(out)
}

// maxPaths is how many paths one call of git gets, since the length of a
// command line is limited.
const maxPaths = 500

func (g *gitTool) selected(ctx context.Context, global []string, tree string, args []string) ([]string, error) {
	if len(args) == 0 {
		args = []string{":/"}
	}
	list := append(slices.Clone(global), "ls-files", "-z", "--full-name")
	if tree != "" {
		list = append(list, "--with-tree="+tree)
	}
	var names []string
	for part := range slices.Chunk(args, maxPaths) {
		out, err := vcs.Ask(ctx, vcs.Git, g.dir, append(append(slices.Clone(list), "--"), part...)...)
		if err != nil {
			return nil, err
		}
		names = append(names, paths(out)...)
	}
	if tree == "" {
		return names, nil
	}
	out, err := vcs.Ask(ctx, vcs.Git, g.dir, "ls-tree", "-r", "-z", "--name-only", "--full-tree", tree)
	if err != nil {
		return nil, err
	}
	inTree := map[string]bool{}
	for _, name := range paths(out) {
		inTree[name] = true
	}
	return slices.DeleteFunc(names, func(name string) bool { return !inTree[name] }), nil
}

func (g *gitTool) differing(ctx context.Context, tree string) ([]string, error) {
	args := []string{"diff", "--name-only", "-z", "--no-ext-diff", "--no-renames"}
	if tree != "" {
		args = append(args, tree)
	}
	out, err := vcs.Ask(ctx, vcs.Git, g.dir, args...)
	return paths(out), err
}
