//go:build unix

package rootfs

import (
	"strings"

	"golang.org/x/sys/unix"
)

// Dirs opens the directories of a [Root] and keeps the last one open: files
// come in the order of a walk, so the next file is usually in the same
// directory. Only one goroutine may use a Dirs. Its errors come from the kernel
// unchanged.
type Dirs struct {
	root int
	path string
	fd   int // -1 if no directory is open
}

// Parent opens the directory that contains p and returns it with the last
// element of p, which is "." for the root. d owns the descriptor. It is valid
// until the next call of any method of d.
func (d *Dirs) Parent(p string) (fd int, base string, err error) {
	dir, base, ok := split(p)
	if !ok {
		return -1, "", unix.EINVAL
	}
	fd, err = d.Dir(dir)
	return fd, base, err
}

// Dir opens the directory at p. d owns the descriptor. It is valid until the
// next call of any method of d.
func (d *Dirs) Dir(p string) (int, error) {
	if p == "/" {
		return d.root, nil
	}
	if d.fd >= 0 && p == d.path {
		return d.fd, nil
	}
	if _, _, ok := split(p); !ok {
		return -1, unix.EINVAL
	}
	from, rest := d.root, p[1:]
	if d.fd >= 0 && strings.HasPrefix(p, d.path+"/") {
		from, rest = d.fd, p[len(d.path)+1:]
	}
	fd, err := descend(from, rest)
	d.Close()
	if err != nil {
		return -1, err
	}
	d.path, d.fd = p, fd
	return fd, nil
}

// Close closes the directory that d keeps open. The Dirs may be used again
// afterwards.
func (d *Dirs) Close() {
	if d.fd >= 0 {
		unix.Close(d.fd)
		d.fd = -1
	}
}

// Open opens the file at p with the flags of open(2). It does not follow a
// symbolic link at p. The caller must close the descriptor.
func (d *Dirs) Open(p string, flags int) (int, error) {
	dir, base, err := d.Parent(p)
	if err != nil {
		return -1, err
	}
	return openAt(dir, base, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// Stat returns the metadata of the file at p. It does not follow a symbolic
// link at p.
func (d *Dirs) Stat(p string) (unix.Stat_t, error) {
	var st unix.Stat_t
	dir, base, err := d.Parent(p)
	if err == nil {
		err = unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	return st, err
}

// Remove removes the file at p. A directory is an error.
func (d *Dirs) Remove(p string) error {
	dir, base, err := d.Parent(p)
	if err != nil {
		return err
	}
	return unix.Unlinkat(dir, base, 0)
}

// descend opens one directory after another, starting from the one at fd.
func descend(fd int, rel string) (int, error) {
	here := fd
	for name := range strings.SplitSeq(rel, "/") {
		next, err := openAt(here, name, openDirFlags, 0)
		if here != fd {
			unix.Close(here)
		}
		if err != nil {
			return -1, err
		}
		here = next
	}
	return here, nil
}

// split splits a path into its directory and its last name. ok is false if the
// path is not absolute and clean, because such a path could lead out of the
// root.
func split(p string) (dir, base string, ok bool) {
	if p == "/" {
		return "/", ".", true
	}
	if !strings.HasPrefix(p, "/") {
		return "", "", false
	}
	for name := range strings.SplitSeq(p[1:], "/") {
		if name == "" || name == "." || name == ".." {
			return "", "", false
		}
	}
	i := strings.LastIndexByte(p, '/')
	return p[:max(i, 1)], p[i+1:], true
}
