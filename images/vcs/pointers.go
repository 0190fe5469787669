package vcs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"

	"cloudlets/images"
)

// The form of a Git LFS pointer (git-lfs, docs/spec.md): a text of less than
// 1024 bytes that begins with its version. Older pointers name the project as
// it was called before.
const maxPointer = 1023

var pointerVersions = [][]byte{[]byte("version https://git-lfs.github.com/spec/v1\n"), []byte("version https://hawser.github.com/spec/v1\n")}

// Pointers returns the files of an image, in the order of a walk, that are Git
// LFS pointers: a repository has these in the place of large files, and only
// git-lfs exchanges them. Files are read only if the image has a .gitattributes
// that names the filter.
func Pointers(ctx context.Context, t images.Tree) ([]string, error) {
	p := pointers{tree: t}
	if err := p.walk(ctx, "/"); err != nil || !p.filter {
		return nil, err
	}
	var found []string
	for _, name := range p.small {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		text, err := p.read(name, maxPointer)
		if err != nil {
			return nil, err
		}
		for _, version := range pointerVersions {
			if bytes.HasPrefix(text, version) && bytes.Contains(text, []byte("\noid ")) {
				found = append(found, name)
			}
		}
	}
	return found, nil
}

// pointers is one search.
type pointers struct {
	tree   images.Tree
	small  []string // the files that may be pointers by their size
	filter bool     // the image uses the filter
}

func (p *pointers) walk(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := p.tree.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch {
		case images.IsBookkeeping(e.Path):
		case e.Type == images.Directory:
			if err := p.walk(ctx, e.Path); err != nil {
				return err
			}
		case e.Type != images.Regular:
		case path.Base(e.Path) == attributesName && !p.filter:
			text, err := p.read(e.Path, maxAttributes)
			if err != nil {
				return err
			}
			p.filter = bytes.Contains(text, []byte("filter=lfs"))
		case e.Size <= maxPointer && e.Size >= int64(len(pointerVersions[1])):
			p.small = append(p.small, e.Path)
		}
	}
	return nil
}

// attributesName is what git calls the file that says how it treats files.
const attributesName = ".gitattributes"

// maxAttributes is how much of a .gitattributes is read, in bytes.
const maxAttributes = 1 << 20

// read reads the beginning of a file.
func (p *pointers) read(name string, size int64) ([]byte, error) {
	r, err := p.tree.Open(name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, size))
	return text, errors.Join(err, r.Close())
}
