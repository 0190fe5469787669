package pack

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// root is the directory that an image goes to, or is checked in. All names
// are resolved from it step by step, and never through a symbolic link.
type root struct {
	name string
	fd   int
}

const openDirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

func openRoot(name string) (*root, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", name, err)
	}
	return &root{name: strings.TrimSuffix(name, "/"), fd: fd}, nil
}

func (r *root) close() { unix.Close(r.fd) }

func (r *root) dirs() *dirCache { return &dirCache{root: r.fd, fd: -1} }

// dirCache opens directories and keeps the latest: files come in the order of
// a walk, so the next is mostly wanted from the same place. One goroutine uses it.
type dirCache struct {
	root int
	path string
	fd   int // -1 is none
}

// parent opens the directory that p is in, and gives p's name in there. The
// descriptor is good until the next call.
func (c *dirCache) parent(p string) (fd int, base string, err error) {
	dir, base := splitPath(p)
	fd, err = c.dir(dir)
	return fd, base, err
}

// dir opens the directory at p. The descriptor is good until the next call.
func (c *dirCache) dir(p string) (int, error) {
	if p == "/" {
		return c.root, nil
	}
	if c.fd >= 0 && p == c.path {
		return c.fd, nil
	}
	from, rest := c.root, p[1:]
	if c.fd >= 0 && strings.HasPrefix(p, c.path+"/") {
		from, rest = c.fd, p[len(c.path)+1:]
	}
	fd, err := descend(from, rest)
	c.close()
	if err != nil {
		return -1, err
	}
	c.path, c.fd = p, fd
	return fd, nil
}

// descend opens one directory after the other, from the one at fd.
func descend(fd int, rel string) (int, error) {
	here := fd
	for name := range strings.SplitSeq(rel, "/") {
		next, err := openat(here, name, openDirFlags, 0)
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

func (c *dirCache) close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
}

// openat opens past signals, which the Go runtime sends to itself.
func openat(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// create makes a regular file that nobody else can read yet. It takes no file
// that is there, and follows no link.
func create(dir int, base string) (int, error) {
	return openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
}

// writeData writes data at off, save for the blocks that are all zeros.
func writeData(fd int, data []byte, off int64) error {
	for from, to := range dataRuns(data) {
		for from < to {
			n, err := unix.Pwrite(fd, data[from:to], off+int64(from))
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return err
			}
			from += n
		}
	}
	return nil
}

// fail says what could not be done, where, and what a person can do.
func (r *root) fail(t *TOC, op, p string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		hint = fmt.Sprintf("; the image has %d files of %d bytes: give it a larger disk", t.info.Entries, t.info.Bytes)
	case errors.Is(err, unix.EEXIST):
		hint = "; a pack goes onto a fresh filesystem: make one"
	case errors.Is(err, unix.EIO), errors.Is(err, unix.EROFS):
		hint = "; the disk fails: look at the kernel's log, and replace it"
	case errors.Is(err, unix.EPERM):
		hint = "; it takes root, and a filesystem that knows owners and devices"
	}
	return fmt.Errorf("%s %s on %s: %w%s", op, p, r.device(), err, hint)
}

// device names what the directory is on, "/dev/sda3", as well as it is known.
func (r *root) device() string {
	var st unix.Stat_t
	if err := unix.Fstat(r.fd, &st); err != nil {
		return "an unknown device"
	}
	number := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	uevent, err := os.ReadFile("/sys/dev/block/" + number + "/uevent")
	if err != nil {
		return "device " + number
	}
	for line := range strings.Lines(string(uevent)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVNAME="); ok {
			return "/dev/" + name
		}
	}
	return "device " + number
}
