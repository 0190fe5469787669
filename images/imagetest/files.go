package imagetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"testing"

	"cloudlets/images"
)

// Files is a source in memory that visits its files in order.
type Files []images.File

// Walk visits the files in their order.
func (s Files) Walk(ctx context.Context, visit images.VisitFunc) error {
	for _, f := range s {
		if err := ctx.Err(); err != nil {
			return err
		}
		var content io.Reader
		if f.Type == images.Regular {
			content = bytes.NewReader(f.Content)
		}
		if err := visit(f.Entry, content); err != nil {
			return err
		}
	}
	return nil
}

// All reads a whole source into memory.
func All(t *testing.T, s images.Source) Files {
	t.Helper()
	var got Files
	err := s.Walk(t.Context(), func(e images.Entry, content io.Reader) error {
		f := images.File{Entry: e}
		if content != nil {
			var err error
			if f.Content, err = io.ReadAll(content); err != nil || int64(len(f.Content)) != e.Size {
				return fmt.Errorf("%s: %d bytes of %d: %w", e.Path, len(f.Content), e.Size, err)
			}
		}
		got = append(got, f)
		return nil
	})
	Must(t, err)
	return got
}

// Lines makes a source from a line for each file: "/dir/", "/link -> target",
// "/hard => /file", "/file = content".
func Lines(list ...string) Files {
	tree := Files{{Entry: images.Entry{Path: "/", Type: images.Directory, Mode: 0o755}}}
	for _, line := range list {
		if link, file, ok := strings.Cut(line, " => "); ok {
			tree = append(tree, images.File{Entry: images.Entry{Path: link, Type: images.HardLink, Link: file}})
			continue
		}
		name, _, _ := strings.Cut(line, " = ")
		name, _, _ = strings.Cut(name, " -> ")
		tree = append(tree, NewTree(line)[path.Clean(name)])
	}
	return tree
}

// Outline returns a source in the format of [Lines].
func Outline(t *testing.T, s images.Source) string {
	t.Helper()
	var out []string
	for _, f := range All(t, s) {
		switch f.Type {
		case images.Directory:
			out = append(out, strings.TrimSuffix(f.Path, "/")+"/")
		case images.Regular:
			out = append(out, f.Path+" = "+string(f.Content))
		case images.HardLink:
			out = append(out, f.Path+" => "+f.Link)
		case images.Symlink:
			out = append(out, f.Path+" -> "+f.Link)
		}
	}
	return strings.Join(out, "\n")
}

// Contents maps each path to a description of its content. It fails the test if
// the source breaks a promise of [images.Source].
func Contents(t *testing.T, s images.Source) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range All(t, s) {
		if _, twice := out[f.Path]; twice {
			t.Errorf("%q is visited twice", f.Path)
		}
		if f.Path != "/" && out[path.Dir(f.Path)] != "directory" {
			t.Errorf("%q comes before its directory", f.Path)
		}
		switch f.Type {
		case images.Directory:
			out[f.Path] = "directory"
		case images.HardLink:
			if out[f.Path] = out[f.Link]; out[f.Link] == "" {
				t.Errorf("%q comes before what it names, %q", f.Path, f.Link)
			}
		default:
			out[f.Path] = string('0'+rune(f.Type)) + f.Link + string(f.Content)
		}
	}
	return out
}
