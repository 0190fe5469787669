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

// CleanPath returns the absolute, clean form of a path within an image.
func CleanPath(p string) string { return path.Clean("/" + p) }

// maxLinks is the maximum number of symbolic links in one path. Linux has the
// same limit.
const maxLinks = 40

// ErrTooManyLinks means that a path leads through more than 40 symbolic links.
// Most likely the links form a cycle.
var ErrTooManyLinks = errors.New("too many symbolic links")

// Resolve follows the symbolic links of a path as a process would whose root
// directory is the image: an absolute link starts again at the image's root,
// and ".." at the root stays at the root. The resulting path exists and is not
// a symbolic link.
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

// ReadFile follows the symbolic links of a path and returns the content of the
// regular file there. If the file is longer than max bytes, ReadFile returns an
// error.
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

// Glob returns the paths that match a pattern, sorted. Each component of the
// pattern has the syntax of [path.Match]. Directories on the way may be
// symbolic links. If nothing matches, the result is empty and there is no
// error. A malformed pattern returns [path.ErrBadPattern].
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

// matching returns the entries of a directory that match one component of a
// pattern.
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

// WalkTree visits the entry at root and everything below it. A directory comes
// before its contents, and names are sorted. Symbolic links are not followed.
// If visit returns [fs.SkipDir] for a directory, the contents of that directory
// are skipped.
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
