//go:build unix

package trees

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// listing is what a lister found in a directory.
type listing struct {
	dir   images.Entry
	files []listed // sorted by the bytes of their names
}

// listed is one file of a listing.
type listed struct {
	images.Entry
	inode  inode    // zero if the file has only one name
	inside *listing // of a directory
}

// inode identifies a file with several names.
type inode struct{ dev, ino uint64 }

// lister reads the metadata of a whole tree, with as many workers as there are
// processors. It visits what a [walker] visits. Each directory is opened within
// the one above it, so that no symbolic link can lead outside, and a worker
// has no more directories open than the tree is deep.
type lister struct {
	workers *errgroup.Group
}

// list reads the directory called name with all that is in it.
func list(ctx context.Context, name string) (*listing, error) {
	dir, err := os.OpenFile(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(runtime.GOMAXPROCS(0))
	l, root := lister{workers}, new(listing)
	workers.Go(func() error { return l.directory(ctx, dir, "/", root) })
	return root, workers.Wait()
}

// directory reads an open directory into a listing, and closes it.
func (l lister) directory(ctx context.Context, dir *os.File, p string, to *listing) error {
	defer dir.Close()
	var st unix.Stat_t
	err := unix.Fstat(int(dir.Fd()), &st)
	if err == nil {
		to.dir, err = described(dir, ".", p, &st)
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", p, err)
	}
	names, err := sortedNames(dir, p)
	if err != nil {
		return err
	}
	to.files = make([]listed, 0, len(names))
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.child(ctx, dir, name, strings.TrimSuffix(p, "/")+"/"+name, to); err != nil {
			return err
		}
	}
	return nil
}

// child adds the file called name to the listing of its directory.
func (l lister) child(ctx context.Context, dir *os.File, name, p string, to *listing) error {
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
		inner, err := openAt(dir, name, unix.O_DIRECTORY)
		if err != nil {
			return fmt.Errorf("open %s: %w", p, err)
		}
		inside := new(listing)
		to.files = append(to.files, listed{inside: inside})
		read := func() error { return l.directory(ctx, inner, p, inside) }
		if !l.workers.TryGo(read) {
			return read()
		}
		return nil
	}
	f := listed{}
	if st.Nlink > 1 {
		f.inode = inode{uint64(st.Dev), st.Ino}
	}
	var err error
	if f.Entry, err = described(dir, name, p, &st); err != nil {
		return fmt.Errorf("look at %s: %w", p, err)
	}
	to.files = append(to.files, f)
	return nil
}

// described returns the entry of the file called name, with its extended
// attributes.
func described(dir *os.File, name, p string, st *unix.Stat_t) (e images.Entry, err error) {
	e = entryOf(p, st)
	e.Xattrs, err = xattrsAt(dir, name)
	return e, err
}
