package images

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// CleanPath makes a path absolute within the image and clean.
func CleanPath(p string) string { return path.Clean("/" + p) }

// maxLinks is how many symbolic links one path may lead through, as in Linux.
const maxLinks = 40

// ErrTooManyLinks says that a path leads through more than 40 symbolic
// links: most likely in a circle.
var ErrTooManyLinks = errors.New("too many symbolic links")

// Resolve follows the symbolic links of a path the way a process would that
// has the image as its root: an absolute link starts again at the image's
// root, and ".." there stays there. The result names something that exists
// and is no link.
func Resolve(t Tree, name string) (string, error) {
	todo := strings.Split(name, "/")
	at, links := "/", 0
	for len(todo) > 0 {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		e, err := t.Entry(next)
		if err != nil {
			return "", fmt.Errorf("resolve %s: %w", name, err)
		}
		if e.Type != Symlink {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("resolve %s: %w", name, ErrTooManyLinks)
		}
		if strings.HasPrefix(e.Link, "/") {
			at = "/"
		}
		todo = append(strings.Split(e.Link, "/"), todo...)
	}
	return at, nil
}

// ReadFile reads the regular file that a path leads to, links followed. A
// file longer than max bytes is an error.
func ReadFile(t Tree, name string, max int64) ([]byte, error) {
	real, err := Resolve(t, name)
	if err != nil {
		return nil, err
	}
	r, err := t.Open(real)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(data)) > max {
		return nil, fmt.Errorf("read %s: it is longer than the %d bytes allowed", name, max)
	}
	return data, nil
}

// Glob lists the paths that match a pattern, sorted. Each component of the
// pattern is one for [path.Match]; directories on the way may be symbolic
// links. Nothing that matches is no error; a malformed pattern is
// [path.ErrBadPattern].
func Glob(t Tree, pattern string) ([]string, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("pattern %s: %w", pattern, err)
	}
	found := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(path.Clean("/"+pattern), "/"), "/") {
		if part == "" {
			continue
		}
		var next []string
		for _, dir := range found {
			names, err := matching(t, dir, part)
			if err != nil {
				return nil, fmt.Errorf("pattern %s: %w", pattern, err)
			}
			next = append(next, names...)
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}

// matching lists what matches one component of a pattern in a directory.
func matching(t Tree, dir, part string) ([]string, error) {
	real, err := Resolve(t, dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrTooManyLinks) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if e, err := t.Entry(real); err != nil || e.Type != Directory {
		return nil, err
	}
	entries, err := t.ReadDir(real)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if ok, err := path.Match(part, path.Base(e.Path)); err != nil {
			return nil, err
		} else if ok {
			names = append(names, path.Join(dir, path.Base(e.Path)))
		}
	}
	return names, nil
}

// WalkTree visits what is at root and beneath it, a directory before what is
// in it, names sorted. It follows no links. A visit that returns
// [fs.SkipDir] for a directory leaves out what is in it.
func WalkTree(t Tree, root string, visit func(Entry) error) error {
	e, err := t.Entry(root)
	if err != nil {
		return fmt.Errorf("walk %s: %w", root, err)
	}
	return walkEntry(t, e, visit)
}

func walkEntry(t Tree, e Entry, visit func(Entry) error) error {
	err := visit(e)
	if e.Type != Directory || errors.Is(err, fs.SkipDir) {
		if errors.Is(err, fs.SkipDir) {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	entries, err := t.ReadDir(e.Path)
	if err != nil {
		return fmt.Errorf("walk %s: %w", e.Path, err)
	}
	for _, inner := range entries {
		if err := walkEntry(t, inner, visit); err != nil {
			return err
		}
	}
	return nil
}
