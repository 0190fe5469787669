//go:build unix

package worktree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cloudlets/images/metadata"
	"cloudlets/images/vcs"
)

// hgTool runs Mercurial on an image.
type hgTool struct {
	dir   string
	merge []string
}

func (h *hgTool) folder(context.Context) (string, error) { return filepath.Join(h.dir, ".hg"), nil }

func (h *hgTool) prepare(context.Context) error { return nil }

func (h *hgTool) tracked(ctx context.Context) ([]string, error) {
	if files, err := readDirstate(filepath.Join(h.dir, ".hg")); err == nil {
		return files, nil
	}
	out, err := vcs.Ask(ctx, vcs.Hg, h.dir, "files", "--print0", "--config", "ui.relative-paths=no", "--cwd", h.dir)
	if said, ok := errors.AsType[*vcs.ToolError](err); ok && said.Said == "" && said.Err.ExitCode() == 1 {
		return nil, nil // there are no files
	}
	return paths(out), err
}

func (h *hgTool) stage(ctx context.Context, tracked bool) error {
	if tracked {
		return nil
	}
	_, err := vcs.Ask(ctx, vcs.Hg, h.dir, "add", "--cwd", h.dir, metadataName)
	return err
}

// options disable the conversion of bytes, and warnings about names that other
// systems do not allow.
func (h *hgTool) options(ignore string, making bool) []string {
	settings := []string{
		"ui.portablefilenames=ignore", "ui.ignore=" + os.DevNull, "ui.ignore.cloudlets=" + ignore,
		"ui.origbackuppath=.hg/cloudlets/orig", // otherwise it would be in the image, beside the file
		"extensions.eol=!", "extensions.keyword=!", "extensions.win32text=!", "extensions.fsmonitor=!",
	}
	if len(h.merge) > 0 {
		const t = "merge-tools." + mergeDriver + "."
		settings = append(settings, t+"executable="+h.merge[0], t+"premerge=False", t+"gui=False",
			t+"args="+shellWords(h.merge[1:])+" $base $local $other $output",
			"merge-patterns.path:"+metadataName+"="+mergeDriver)
	}
	var args []string
	if !making {
		args = []string{"-R", h.dir}
	}
	for _, s := range settings {
		args = append(args, "--config", s)
	}
	return args
}

func (h *hgTool) env() []string { return nil }

// pattern returns a regular expression for an ignore file that matches the
// given path.
func (h *hgTool) pattern(p string, all bool) string {
	var b strings.Builder
	b.WriteString("^")
	for _, c := range []byte(strings.TrimPrefix(p, "/")) {
		switch {
		case c == '/' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	if all {
		b.WriteString("/")
	} else {
		b.WriteString("(?:/|$)")
	}
	return b.String()
}

func (h *hgTool) committed(ctx context.Context) metadata.File {
	return parseCommitted(vcs.Ask(ctx, vcs.Hg, h.dir, "cat", "--rev=.", "--cwd", h.dir, metadataName))
}

func (h *hgTool) resolved() string { return "resolve --mark" }

func (h *hgTool) alias(context.Context, []string, string) []string { return nil }

func (h *hgTool) revision(ctx context.Context, name string) (string, error) {
	if name == "" {
		name = "."
	}
	out, err := vcs.Ask(ctx, vcs.Hg, h.dir, "log", "--rev", name, "--limit", "1", "--template", "{node}")
	return string(out), err
}

func (h *hgTool) recorded(ctx context.Context, revision string) (metadata.File, error) {
	if revision == "" {
		revision = "."
	}
	names, err := h.files(ctx, nil, revision, []string{"path:" + metadataName})
	if err != nil || len(names) == 0 {
		return metadata.File{}, err
	}
	out, err := vcs.Ask(ctx, vcs.Hg, h.dir, "cat", "--rev", revision, "--cwd", h.dir, metadataName)
	if err != nil {
		return metadata.File{}, err
	}
	return parseRecorded(out)
}

func (h *hgTool) selected(ctx context.Context, global []string, revision string, args []string) ([]string, error) {
	return h.files(ctx, global, revision, args)
}

// files lists files of a revision.
func (h *hgTool) files(ctx context.Context, global []string, revision string, args []string) ([]string, error) {
	list := slices.Concat(global, []string{"files", "--print0", "--rev", revision, "--config", "ui.relative-paths=no"}, args)
	cmd, err := vcs.Quiet(ctx, vcs.Hg, h.dir, list...)
	if err != nil {
		return nil, err
	}
	cmd.Dir = h.dir // the paths are relative to it, or to the user's --cwd in it
	out, err := vcs.Output(cmd)
	if said, ok := errors.AsType[*vcs.ToolError](err); ok && said.Err.ExitCode() == 1 {
		return nil, nil // there are no files
	}
	return paths(out), err
}

func (h *hgTool) differing(ctx context.Context, revision string) ([]string, error) {
	out, err := vcs.Ask(ctx, vcs.Hg, h.dir, "status", "--rev", revision, "--print0", "--no-status", "--cwd", h.dir)
	return paths(out), err
}

func (h *hgTool) stageText(context.Context, string) error { return nil }

// ownersChanged does nothing, because Mercurial does not look at owners.
func (h *hgTool) ownersChanged(metadata.File) {}
