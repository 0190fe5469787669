package tarball

import (
	"fmt"
	"strings"

	"cloudlets/images"
)

// way follows the path of a directory through an index that is being made, as
// the files are at this point of the archive. Symbolic links lead no further than
// the image's root.
type way struct {
	index *index
	path  string // absolute and clean
	dir   uint32 // as far as it got
	todo  string // the rest of the path, which does not exist
	links int    // how many were followed
	// own is how many bytes at the end of todo are the path's own. What is before
	// them comes from a symbolic link.
	own int
}

// maxLinks is how many symbolic links a path may lead through. Linux has the
// same limit.
const maxLinks = 40

// follow goes as far as there are files. It is an error if one of them is not a
// directory, or if a symbolic link leads to nothing.
func (w *way) follow() error {
	w.dir, w.todo = 0, w.path[1:]
	w.own = len(w.todo)
	for w.todo != "" {
		before := w.todo
		name, rest, _ := strings.Cut(w.todo, "/")
		w.todo = rest
		switch name {
		case "", ".":
			continue
		case "..":
			w.dir = w.index.File(w.dir).Dir
			continue
		}
		i, ok := w.index.Find(w.dir, name)
		if !ok && len(before) <= w.own {
			w.todo = before
			return nil
		}
		if !ok {
			return fmt.Errorf("is in %s, which leads through a symbolic link to something that the tarball does not hold before it", w.path)
		}
		if err := w.enter(i, len(before) <= w.own); err != nil {
			return err
		}
	}
	return nil
}

// enter goes on into a file; own says whether its name is of the path itself.
func (w *way) enter(i uint32, own bool) error {
	f := w.index.File(w.index.Original(i))
	switch w.index.Kind(f) {
	case images.Directory:
		w.dir = i
		return nil
	case images.Symlink:
	default:
		return fmt.Errorf("is in %s, which is not a directory", w.index.Path(i))
	}
	if w.links++; w.links > maxLinks {
		return fmt.Errorf("is in %s: %w", w.path, images.ErrTooManyLinks)
	}
	if own {
		w.own = len(w.todo)
	}
	target := w.index.Target(f)
	if strings.HasPrefix(target, "/") {
		w.dir = 0
	}
	w.todo = target + "/" + w.todo
	return nil
}
