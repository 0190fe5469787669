//go:build unix

package trees

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/metadata"
)

// walker walks a directory, with names sorted by their bytes. It does not
// follow symbolic links, and it skips bookkeeping and sockets. It opens
// directories but not files, because only the files' metadata are needed.
type walker struct {
	// file is called for everything except directories. p is the path in the
	// tree.
	file func(dir *os.File, name, p string, st *unix.Stat_t) error
	// enter and leave are called with each open directory, before and after its
	// contents. Either may be nil.
	enter, leave func(dir *os.File, p string, st *unix.Stat_t) error
}

// walk walks the directory called name.
func (w *walker) walk(ctx context.Context, name string) error {
	dir, err := os.OpenFile(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	return w.directory(ctx, dir, "/")
}

// directory walks an open directory and closes it.
func (w *walker) directory(ctx context.Context, dir *os.File, p string) error {
	defer dir.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return fmt.Errorf("look at %s: %w", p, err)
	}
	if w.enter != nil {
		if err := w.enter(dir, p, &st); err != nil {
			return err
		}
	}
	names, err := sortedNames(dir, p)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.child(ctx, dir, name, strings.TrimSuffix(p, "/")+"/"+name); err != nil {
			return err
		}
	}
	if w.leave != nil {
		return w.leave(dir, p, &st)
	}
	return nil
}

func (w *walker) child(ctx context.Context, dir *os.File, name, p string) error {
	if images.IsBookkeeping(p) {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("look at %s: %w", p, err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return nil
	case unix.S_IFDIR:
		inner, err := metadata.OpenAt(dir, name, unix.O_DIRECTORY)
		if err != nil {
			return fmt.Errorf("open %s: %w", p, err)
		}
		return w.directory(ctx, inner, p)
	}
	return w.file(dir, name, p, &st)
}

// sortedNames are the names in an open directory, whose path p is for errors.
func sortedNames(dir *os.File, p string) ([]string, error) {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", p, err)
	}
	slices.Sort(names)
	return names, nil
}

// entryOf converts the kernel's description of a file to an entry, without the
// target of a link.
func entryOf(p string, st *unix.Stat_t) images.Entry {
	e := images.Entry{Path: p, Mode: uint32(st.Mode) & 0o7777, UID: st.Uid, GID: st.Gid}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Type, e.Size = images.Regular, st.Size
	case unix.S_IFDIR:
		e.Type = images.Directory
	case unix.S_IFLNK:
		e.Type = images.Symlink
	case unix.S_IFIFO:
		e.Type = images.FIFO
	case unix.S_IFCHR:
		e.Type = images.CharDevice
	case unix.S_IFBLK:
		e.Type = images.BlockDevice
	}
	if metadata.IsNode(e.Type) && e.Type != images.FIFO {
		e.Major, e.Minor = unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
	}
	return e
}
