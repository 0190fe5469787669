//go:build unix

package rootfs

import (
	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// MakeDir makes the directory at p. Only its owner can enter it until it gets
// its metadata. If the directory already exists, e.g. lost+found of ext4,
// MakeDir succeeds.
func (d *Dirs) MakeDir(p string) error {
	dir, base, err := d.Parent(p)
	if err != nil {
		return err
	}
	err = unix.Mkdirat(dir, base, 0o700)
	if err != unix.EEXIST {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.EEXIST
	}
	return nil
}

// MakeNode makes a file without content and sets its metadata. The file is an
// empty regular file, a symbolic link, a device or a FIFO.
func (d *Dirs) MakeNode(e *images.Entry) error { return d.makeNode(e, nil) }

// TryMakeNode is MakeNode for a process without root's rights; see
// [Dirs.TrySetMetadata]. made reports whether the file exists: such a process
// cannot make devices.
func (d *Dirs) TryMakeNode(e *images.Entry) (made, lost bool, err error) {
	var a allowance
	err = d.makeNode(e, &a)
	if isSpecial(e) && a.pass(err) == nil && err != nil {
		return false, true, nil
	}
	return err == nil, a.lost, err
}

func (d *Dirs) makeNode(e *images.Entry, a *allowance) error {
	if e.Type == images.Regular {
		f, err := d.Create(e.Path)
		if err != nil {
			return err
		}
		return f.seal(d, e, a)
	}
	dir, base, err := d.Parent(e.Path)
	if err != nil {
		return err
	}
	switch e.Type {
	case images.Symlink:
		err = unix.Symlinkat(e.Link, dir, base)
	case images.CharDevice, images.BlockDevice, images.FIFO:
		err = makeSpecial(dir, base, e)
	default:
		err = unix.EINVAL
	}
	if err != nil {
		return err
	}
	return setNode(dir, base, e, a)
}

// Link makes newPath a hard link to the file at oldPath, which may be a
// symbolic link. at and d must belong to the same root. They are two, so that
// each keeps its own last directory open and neither path has to be opened
// anew.
func (d *Dirs) Link(at *Dirs, oldPath, newPath string) error {
	oldDir, oldBase, err := at.Parent(oldPath)
	if err != nil {
		return err
	}
	newDir, newBase, err := d.Parent(newPath)
	if err != nil {
		return err
	}
	return unix.Linkat(oldDir, oldBase, newDir, newBase, 0)
}
