//go:build unix

package trees

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/metadata"
)

// set sets the owner, mode and extended attributes of everything in scope.
func (a *applier) set(ctx context.Context) error {
	w := walker{file: a.setFile, enter: a.closeFolder, leave: a.setFolder}
	a.folders["/"] = true
	return w.walk(ctx, a.to.Dir)
}

// setFile does this for anything but a directory.
func (a *applier) setFile(dir *os.File, name, p string, st *unix.Stat_t) error {
	rec, recorded := a.file.Lookup(p)
	e := entryOf(p, st)
	switch {
	case metadata.IsNode(e.Type) && !recorded:
		return nil
	case !metadata.IsNode(e.Type) && !a.to.Scope.keeps(p):
		return nil
	}
	a.folders.add(parent(p))
	if st.Nlink > 1 {
		done, err := a.shared(p, &rec, st)
		if done || err != nil {
			return err
		}
		if err := unix.Fstatat(int(dir.Fd()), name, st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("look at %s: %w", p, err)
		}
		e = entryOf(p, st) // it may be a separate file now
	}
	if rec.Type == images.HardLink {
		rec, _ = a.file.Lookup(rec.Link)
	}
	return a.adjust(dir, name, &e, &rec, modTime(st))
}

// shared handles a file that has several names. done is true if an earlier name
// of the file already got the right metadata.
func (a *applier) shared(p string, rec *metadata.Record, st *unix.Stat_t) (done bool, err error) {
	id, first := inode{uint64(st.Dev), st.Ino}, p
	if rec.Type == images.HardLink {
		first = rec.Link
	}
	before, seen := a.inodes[id]
	if !seen {
		a.inodes[id] = first
		return false, nil
	}
	if before == first {
		return true, nil
	}
	if err := a.part(p, st); err != nil {
		return false, fmt.Errorf("give %s a file of its own: %w", p, err)
	}
	return false, nil
}

// closeFolder removes from a directory the rights that it will not have in the
// end. It does so before the contents change, so that they are never exposed.
func (a *applier) closeFolder(dir *os.File, p string, st *unix.Stat_t) error {
	rec, recorded := a.file.Lookup(p)
	mode := uint32(st.Mode) & 0o7777
	want := uint32(0o755)
	if recorded && rec.HasMode {
		want = rec.Mode
	}
	narrow := mode&^0o77 | mode&want&0o77
	if !recorded || narrow == mode || a.limited && st.Uid != ownID() {
		return nil
	}
	if err := unix.Fchmod(int(dir.Fd()), narrow); err != nil {
		return fmt.Errorf("set the mode of %s: %w", p, needRoot(err))
	}
	return nil
}

// setFolder does for a directory what setFile does for a file. It runs after
// the contents are done.
func (a *applier) setFolder(dir *os.File, p string, _ *unix.Stat_t) error {
	rec, recorded := a.file.Lookup(p)
	if !recorded && !a.folders[p] {
		return nil // it contains only files that the image does not have
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return fmt.Errorf("look at %s: %w", p, err)
	}
	e := entryOf(p, &st)
	return a.adjust(dir, ".", &e, &rec, modTime(&st))
}

// adjust compares a file with its record and changes the file if they differ.
func (a *applier) adjust(dir *os.File, name string, e *images.Entry, rec *metadata.Record, at time.Time) error {
	xattrs, err := xattrsAt(int(dir.Fd()), name)
	if err != nil {
		return fmt.Errorf("look at %s: %w", e.Path, err)
	}
	want := *e
	rec.Put(&want)
	want.ModTime = at
	if a.limited {
		limit(&want, e)
	}
	if err := a.dropXattrs(dir, name, xattrs, want.Xattrs); err != nil {
		return fmt.Errorf("set %s: %w", e.Path, needRoot(err))
	}
	owned := want.UID == e.UID && want.GID == e.GID
	switch {
	case owned && want.Mode == e.Mode && maps.Equal(xattrs, want.Xattrs):
		return nil
	case owned && len(want.Xattrs) == 0 && e.Type != images.Symlink && !metadata.IsNode(e.Type):
		err = changeMode(dir, name, want.Mode)
	case a.limited:
		_, err = a.dirs.TrySetMetadata(&want)
	default:
		err = a.dirs.SetMetadata(&want)
	}
	if err != nil && !(a.limited && errors.Is(err, unix.EPERM)) {
		return fmt.Errorf("set %s: %w", e.Path, needRoot(err))
	}
	return nil
}

// limit adapts the wanted metadata to the rights of an ordinary user. The owner
// stays, because only root can change it. If that is not the right owner,
// setuid and setgid are left out, and the user can read the file.
func limit(want, is *images.Entry) {
	if (want.UID != is.UID || want.GID != is.GID) && want.Type != images.Symlink {
		want.Mode = limitedMode(want.Type, want.Mode)
	}
	want.UID, want.GID = is.UID, is.GID
}

func modTime(st *unix.Stat_t) time.Time { return time.Unix(st.Mtim.Unix()) }
