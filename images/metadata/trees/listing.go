//go:build unix

package trees

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// listing is what a lister found in a directory.
type listing struct {
	dir   images.Entry
	mark  mark
	files []listed // sorted by the bytes of their names
}

// listed is one file of a listing.
type listed struct {
	images.Entry
	mark   mark     // of a file that is not a directory
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
	files   *atomic.Int64 // how many were found, directories included
}

// list reads the directory called name with all that is in it. It also returns
// the number of files.
func list(ctx context.Context, name string) (*listing, int, error) {
	dir, err := openDir(unix.AT_FDCWD, name, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("open %s: %w", name, err)
	}
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(runtime.GOMAXPROCS(0))
	l, root := lister{workers, new(atomic.Int64)}, new(listing)
	workers.Go(func() error { return l.directory(ctx, dir, "/", root) })
	err = workers.Wait()
	return root, int(l.files.Load()), err
}

// directory reads an open directory into a listing, and closes it.
func (l lister) directory(ctx context.Context, dir int, p string, to *listing) error {
	defer unix.Close(dir)
	var st unix.Stat_t
	err := unix.Fstat(dir, &st)
	if err == nil {
		to.mark = markOf(&st)
		to.dir, err = described(dir, ".", p, &st)
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", p, err)
	}
	paths, err := pathsIn(dir, p)
	if err != nil {
		return fmt.Errorf("list %s: %w", p, err)
	}
	l.files.Add(1 + int64(len(paths)))
	to.files = make([]listed, 0, len(paths))
	for _, p := range paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.child(ctx, dir, p, to); err != nil {
			return err
		}
	}
	return nil
}

// child adds the file at a path to the listing of its directory.
func (l lister) child(ctx context.Context, dir int, p string, to *listing) error {
	if images.IsBookkeeping(p) {
		return nil
	}
	var st unix.Stat_t
	name := p[strings.LastIndexByte(p, '/')+1:]
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("look at %s: %w", p, err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return nil
	case unix.S_IFDIR:
		inner, err := openDir(dir, name, unix.O_NOFOLLOW)
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
	f := listed{mark: markOf(&st)}
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
func described(dir int, name, p string, st *unix.Stat_t) (e images.Entry, err error) {
	e = entryOf(p, st)
	e.Xattrs, err = xattrsAt(dir, name)
	return e, err
}

// openDir opens the directory called name. It returns a bare descriptor, since
// an [os.File] takes several more system calls.
func openDir(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// pathsIn returns the paths of what is in an open directory, sorted by the
// bytes of the names. p is the path of the directory.
func pathsIn(dir int, p string) ([]string, error) {
	names, err := namesIn(dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	above := strings.TrimSuffix(p, "/") + "/"
	size := 0
	for _, name := range names {
		size += len(above) + len(name)
	}
	var all strings.Builder // one piece of memory for all
	all.Grow(size)
	for i, name := range names {
		at := all.Len()
		all.WriteString(above)
		all.WriteString(name)
		names[i] = all.String()[at:]
	}
	return names, nil
}

// namesIn returns the names in an open directory.
func namesIn(dir int) (names []string, err error) {
	var buf [8 << 10]byte
	for {
		n, err := unix.ReadDirent(dir, buf[:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case n <= 0:
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}
