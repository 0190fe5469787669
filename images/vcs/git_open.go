package vcs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"cloudlets/images"
)

// openGit opens a revision of a git repository.
func openGit(ctx context.Context, repository, revision string) (*Revision, error) {
	if revision == "" {
		revision = "HEAD"
	}
	id, err := resolveGit(ctx, repository, revision)
	if err != nil {
		return nil, err
	}
	seconds, err := Ask(ctx, Git, repository, "log", "-1", "--no-show-signature", "--format=%ct", id)
	if err != nil {
		return nil, err
	}
	at, err := strconv.ParseInt(strings.TrimSpace(string(seconds)), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read the time of %s: %w", id, err)
	}
	t := newTree(time.Unix(at, 0).UTC())
	if err := listGit(ctx, repository, id, t); err != nil {
		return nil, err
	}
	pool := &batchPool{repository: repository}
	t.open = func(n *node) (io.ReadCloser, error) { return pool.open(n.object, n.entry.Size) }
	t.same = func(a, b *node) (bool, error) { return a.object == b.object, nil }
	if err := readLinks(t); err != nil {
		return nil, errors.Join(err, pool.close())
	}
	return newRevision(Git, id, t, pool.close)
}

// resolveGit returns the full hash of a revision.
func resolveGit(ctx context.Context, repository, revision string) (string, error) {
	out, err := Ask(ctx, Git, repository, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if err == nil {
		return strings.TrimSpace(string(out)), nil
	}
	if said, ok := errors.AsType[*ToolError](err); !ok || said.Said != "" {
		return "", err
	}
	refs, err := Ask(ctx, Git, repository, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes")
	if err != nil {
		return "", err
	}
	return "", unknownRevision(strings.Fields(string(refs)))
}

// maxRefs is the maximum number of revisions that an error lists.
const maxRefs = 20

// unknownRevision returns an error that lists the existing revisions.
func unknownRevision(known []string) error {
	switch {
	case len(known) == 0:
		return errors.New("there is no such revision: the repository has no branches yet; make a commit first")
	case len(known) > maxRefs:
		return fmt.Errorf("there is no such revision; there are %s and %d more", strings.Join(known[:maxRefs], ", "), len(known)-maxRefs)
	}
	return fmt.Errorf("there is no such revision; there are %s", strings.Join(known, ", "))
}

// listGit adds the files of a revision to a tree.
func listGit(ctx context.Context, repository, id string, t *tree) error {
	cmd, err := Quiet(ctx, Git, repository, "ls-tree", "-r", "-z", "-l", "--full-tree", id)
	if err != nil {
		return err
	}
	out, err := Output(cmd)
	if err != nil {
		return err
	}
	for row := range bytes.SplitSeq(bytes.TrimSuffix(out, []byte{0}), []byte{0}) {
		if len(row) == 0 {
			continue // a revision without files
		}
		n, err := gitNode(string(row))
		if err != nil {
			return err
		}
		if err := t.add(n); err != nil {
			return err
		}
	}
	t.sort()
	return nil
}

// gitNode parses a row of ls-tree: "100644 blob HASH  SIZE\tPATH".
func gitNode(row string) (*node, error) {
	about, name, ok := strings.Cut(row, "\t")
	fields := strings.Fields(about)
	if !ok || len(fields) != 4 {
		return nil, fmt.Errorf("git lists %.200q, which this program cannot parse", row)
	}
	p, err := UnescapePath(name)
	if err != nil {
		return nil, err
	}
	n := &node{entry: images.Entry{Path: p}, object: fields[2]}
	switch e := &n.entry; fields[0] {
	case "100644", "100664":
		e.Type, e.Mode = images.Regular, 0o644
	case "100755":
		e.Type, e.Mode = images.Regular, 0o755
	case "120000":
		e.Type, e.Mode = images.Symlink, 0o777
	case "160000":
		return nil, fmt.Errorf("%s is a submodule, so its files are in another repository: add them to this one", p)
	default:
		return nil, fmt.Errorf("%s is of the unknown kind %s", p, fields[0])
	}
	size, err := strconv.ParseUint(fields[3], 10, 63)
	if err != nil {
		return nil, fmt.Errorf("%s has the size %q: %w", p, fields[3], err)
	}
	n.entry.Size = int64(size)
	return n, nil
}

// readLinks reads the targets of the symbolic links.
func readLinks(t *tree) error {
	for _, n := range t.nodes {
		if n.entry.Type != images.Symlink {
			continue
		}
		if n.entry.Size > 4095 {
			return fmt.Errorf("the symbolic link %s is %d bytes long, which is not possible on any filesystem", n.entry.Path, n.entry.Size)
		}
		r, err := t.open(n)
		if err != nil {
			return fmt.Errorf("read the symbolic link %s: %w", n.entry.Path, err)
		}
		target, err := io.ReadAll(bufio.NewReader(r))
		if err = errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("read the symbolic link %s: %w", n.entry.Path, err)
		}
		n.entry.Link, n.entry.Size = string(target), 0
	}
	return nil
}
