package vcs

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloudlets/images"
	"cloudlets/images/tempfile"
)

// openHg opens a revision of a Mercurial repository. It unpacks all files into
// one archive, since starting Mercurial takes longer than writing the archive.
// The archive is a file without a name and disappears when the revision is
// closed.
func openHg(ctx context.Context, repository, revision string) (*Revision, error) {
	if revision == "" {
		revision = "tip"
	}
	id, at, err := resolveHg(ctx, repository, revision)
	if err != nil {
		return nil, err
	}
	spool, err := tempfile.Create("", "cloudlets-hg-*")
	if err != nil {
		return nil, err
	}
	t := newTree(at)
	t.open = func(n *node) (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(spool, n.offset, n.entry.Size)), nil
	}
	t.same = func(a, b *node) (bool, error) { return sameSection(spool, a, b) }
	if err := unpackHg(ctx, repository, id, spool, t); err != nil {
		return nil, errors.Join(err, spool.Close())
	}
	return newRevision(Hg, id, t, spool.Close)
}

// resolveHg returns the full hash of a revision and its time.
func resolveHg(ctx context.Context, repository, revision string) (string, time.Time, error) {
	out, err := Ask(ctx, Hg, repository, "log", "--rev="+revision, "--limit=1", "--template={node} {date|hgdate}\n")
	fields := strings.Fields(string(out))
	if err == nil && len(fields) == 3 && strings.Trim(fields[0], "0") != "" {
		at, err := strconv.ParseInt(fields[1], 10, 64)
		return fields[0], time.Unix(at, 0).UTC(), err
	}
	if err != nil && !isUnknownToHg(err) {
		return "", time.Time{}, err
	}
	known, err := hgRevisions(ctx, repository)
	if err != nil {
		return "", time.Time{}, err
	}
	return "", time.Time{}, unknownRevision(known)
}

// isUnknownToHg reports whether the error of Mercurial concerns only the
// revision.
func isUnknownToHg(err error) bool {
	said, ok := errors.AsType[*ToolError](err)
	return ok && (strings.Contains(said.Said, "unknown revision") || strings.Contains(said.Said, "parse error"))
}

// hgRevisions returns the names of revisions: branches, bookmarks and tags.
func hgRevisions(ctx context.Context, repository string) ([]string, error) {
	const template = `{branch}\n{join(bookmarks, "\n")}\n{join(tags, "\n")}\n`
	out, err := Ask(ctx, Hg, repository, "log", "--rev=head() or bookmark() or tag()", "--template="+template)
	if err != nil {
		return nil, err
	}
	names := strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
	slices.Sort(names)
	return slices.Compact(names), nil
}

// unpackHg makes Mercurial write the archive, and finds each file in it.
func unpackHg(ctx context.Context, repository, id string, spool *os.File, t *tree) error {
	cmd, err := Quiet(ctx, Hg, repository, "archive", "--rev="+id, "--type=tar", "--prefix=.", "--no-decode",
		"--config", "ui.archivemeta=false", "-")
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = spool, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("hg archive: %w: %s", err, strings.TrimSpace(said.String()))
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	archive := tar.NewReader(spool)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			t.sort()
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the archive from hg: %w", err)
		}
		if err := hgNode(t, h, spool); err != nil {
			return err
		}
	}
}

func hgNode(t *tree, h *tar.Header, spool *os.File) error {
	p, err := UnescapePath(strings.TrimPrefix(h.Name, "./"))
	if err != nil {
		return err
	}
	offset, err := spool.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	n := &node{entry: images.Entry{Path: p, Type: images.Regular, Mode: 0o644, Size: h.Size}, offset: offset}
	switch {
	case h.Typeflag == tar.TypeSymlink:
		n.entry = images.Entry{Path: p, Type: images.Symlink, Mode: 0o777, Link: h.Linkname}
	case h.Typeflag != tar.TypeReg:
		return fmt.Errorf("hg archives %s with the unknown type %q", p, h.Typeflag)
	case h.Mode&0o100 != 0:
		n.entry.Mode = 0o755
	}
	return t.add(n)
}

// sameSection reports whether two files in the archive have the same content.
func sameSection(spool io.ReaderAt, a, b *node) (bool, error) {
	if a.entry.Size != b.entry.Size {
		return false, nil
	}
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); at < a.entry.Size; at += int64(len(x)) {
		n := min(int64(len(x)), a.entry.Size-at)
		if _, err := spool.ReadAt(x[:n], a.offset+at); err != nil {
			return false, err
		}
		if _, err := spool.ReadAt(y[:n], b.offset+at); err != nil {
			return false, err
		}
		if !bytes.Equal(x[:n], y[:n]) {
			return false, nil
		}
	}
	return true, nil
}
