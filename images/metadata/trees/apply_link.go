//go:build unix

package trees

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/metadata"
	"cloudlets/images/rootfs"
)

// aside is the temporary name of a file that will replace another one.
const aside = ".cloudlet-aside"

// link turns the names that are recorded as hard links into hard links, if
// their contents are the same.
func (a *applier) link() error {
	for _, r := range a.file.Records() {
		if r.Type != images.HardLink {
			continue
		}
		if err := a.linkOne(&r); err != nil {
			return fmt.Errorf("link %s to %s: %w", r.Path, r.Link, err)
		}
	}
	return nil
}

func (a *applier) linkOne(r *metadata.Record) error {
	target, err := a.targets.Stat(r.Link)
	if err != nil {
		return ignoreGone(err)
	}
	node := metadata.IsNode(entryOf(r.Link, &target).Type)
	st, err := a.dirs.Stat(r.Path)
	if errors.Is(err, unix.ENOENT) && node {
		if err := a.makeParents(r.Path); err != nil {
			return err
		}
		return a.dirs.Link(a.targets, r.Link, r.Path)
	}
	if err != nil {
		return ignoreGone(err)
	}
	if st.Dev == target.Dev && st.Ino == target.Ino || st.Mode&unix.S_IFMT != target.Mode&unix.S_IFMT {
		return nil
	}
	if same, err := a.same(r.Path, r.Link, &st, &target); err != nil || !same {
		return err
	}
	return a.relink(r)
}

// relink replaces a file by a hard link.
func (a *applier) relink(r *metadata.Record) error {
	temp := asidePath(r.Path)
	if err := ignoreGone(a.dirs.Remove(temp)); err != nil {
		return err
	}
	if err := a.dirs.Link(a.targets, r.Link, temp); err != nil {
		return err
	}
	return a.takePlace(temp, r.Path)
}

// asidePath returns a temporary path in the directory of p.
func asidePath(p string) string {
	if up := parent(p); up != "/" {
		return up + "/" + aside
	}
	return "/" + aside
}

func (a *applier) takePlace(temp, p string) error {
	dir, base, err := a.dirs.Parent(p)
	if err != nil {
		return err
	}
	if err := unix.Renameat(dir, aside, dir, base); err != nil {
		return errors.Join(err, ignoreGone(a.dirs.Remove(temp)))
	}
	return nil
}

// same reports whether two files of the same type have the same content.
func (a *applier) same(p, q string, x, y *unix.Stat_t) (bool, error) {
	if x.Size != y.Size {
		return false, nil
	}
	switch x.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return sameContent(a.dirs, a.targets, p, q)
	case unix.S_IFLNK:
		one, err := readLink(a.dirs, p)
		if err != nil {
			return false, err
		}
		other, err := readLink(a.targets, q)
		return one == other, err
	}
	return x.Rdev == y.Rdev, nil
}

func readLink(d *rootfs.Dirs, p string) (string, error) {
	dir, base, err := d.Parent(p)
	if err != nil {
		return "", err
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, base, buf)
	return string(buf[:max(n, 0)]), err
}

func sameContent(d, e *rootfs.Dirs, p, q string) (bool, error) {
	one, err := openRegular(d, p)
	if err != nil {
		return false, err
	}
	defer one.Close()
	other, err := openRegular(e, q)
	if err != nil {
		return false, err
	}
	defer other.Close()
	return equalReaders(one, other)
}

// part turns a hard link into a separate file with the same content.
func (a *applier) part(p string, st *unix.Stat_t) error {
	temp := asidePath(p)
	if err := ignoreGone(a.dirs.Remove(temp)); err != nil {
		return err
	}
	if err := a.copyTo(temp, p, st); err != nil {
		return errors.Join(err, ignoreGone(a.dirs.Remove(temp)))
	}
	return a.takePlace(temp, p)
}

// copyTo copies p to temp, including its time. For now only the owner may read
// temp.
func (a *applier) copyTo(temp, p string, st *unix.Stat_t) error {
	e := entryOf(temp, st)
	e.ModTime, e.Mode, e.UID, e.GID = modTime(st), e.Mode&0o700, ownID(), uint32(os.Getegid())
	if e.Type != images.Regular {
		var err error
		if e.Type == images.Symlink {
			if e.Link, err = readLink(a.dirs, p); err != nil {
				return err
			}
		}
		return a.dirs.MakeNode(&e)
	}
	from, err := openRegular(a.targets, p)
	if err != nil {
		return err
	}
	defer from.Close()
	return a.copyFile(&e, from)
}

func (a *applier) copyFile(e *images.Entry, from io.Reader) error {
	f, err := a.dirs.Create(e.Path)
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for at := int64(0); at < e.Size; {
		n, err := io.ReadFull(from, buf[:min(int64(len(buf)), e.Size-at)])
		if err == nil {
			err = f.Write(buf[:n], at)
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
		at += int64(n)
	}
	if err := f.Truncate(e.Size); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Seal(a.dirs, e)
}
