//go:build unix

package worktree

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images/metadata"
	"cloudlets/images/vcs"
	"cloudlets/images/vcs/gitindex"
)

// maxIndex is the maximum size in bytes of an index that this program reads.
const maxIndex = 1 << 30

// readIndex reads git's index. Whatever is unusual is an error: then git has to
// be asked. Without an index the result is nil.
func (g *gitTool) readIndex() (*gitindex.Index, os.FileInfo, error) {
	folder, ok := g.plainFolder()
	if !ok {
		return nil, nil, gitindex.ErrUnknown
	}
	config, err := os.ReadFile(filepath.Join(folder, "config"))
	if err != nil || bytes.Contains(bytes.ToLower(config), []byte("objectformat")) {
		return nil, nil, errors.Join(err, gitindex.ErrUnknown) // longer hashes
	}
	f, err := os.Open(filepath.Join(folder, "index"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxIndex {
		return nil, nil, errors.Join(err, gitindex.ErrUnknown)
	}
	var text strings.Builder
	text.Grow(int(info.Size()))
	if _, err := io.Copy(&text, io.LimitReader(f, maxIndex)); err != nil {
		return nil, nil, err
	}
	index, err := gitindex.Parse(text.String())
	return index, info, err
}

// ownersChanged puts the owners that files got from a metadata file into git's
// index. git takes a file with another owner than in the index for one that may
// have changed, and would read all of it. Only what the index says of owners is
// changed, and only of files that are otherwise as the index says. Failure is no
// error, because git then reads the files.
func (g *gitTool) ownersChanged(file metadata.File) {
	index, info, err := g.readIndex()
	if err != nil || index == nil {
		return
	}
	var owners []gitindex.Owner
	for i, name := range index.Names {
		p, err := vcs.UnescapePath(name)
		if err != nil {
			continue
		}
		if r, ok := file.Lookup(p); !ok || r.UID == 0 && r.GID == 0 {
			continue
		}
		if o, ok := g.ownerOf(p, index.Stat(i)); ok {
			owners = append(owners, gitindex.Owner{File: i, UID: o.Uid, GID: o.Gid})
		}
	}
	if len(owners) > 0 {
		_ = g.replaceIndex(index.WithOwners(owners), info)
	}
}

// ownerOf returns what is at a path, if only its owner differs from the index.
func (g *gitTool) ownerOf(p string, was gitindex.Stat) (st unix.Stat_t, ok bool) {
	if err := unix.Lstat(filepath.Join(g.dir, p), &st); err != nil {
		return st, false
	}
	now := gitindex.Stat{
		MtimeSec: uint32(st.Mtim.Sec), MtimeNsec: uint32(st.Mtim.Nsec), Ino: uint32(st.Ino),
		UID: was.UID, GID: was.GID, Size: uint32(st.Size),
	}
	return st, now == was && (st.Uid != was.UID || st.Gid != was.GID)
}

// replaceIndex replaces git's index as git does it: by way of a file that keeps
// others from doing the same. The new file has the old time, by which git knows
// which files may have changed unseen after the index was written.
func (g *gitTool) replaceIndex(text []byte, old os.FileInfo) (err error) {
	name := filepath.Join(g.dir, ".git", "index")
	f, err := os.OpenFile(name+".lock", os.O_WRONLY|os.O_CREATE|os.O_EXCL, old.Mode().Perm())
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(old.Mode().Perm()), f.Close()); err != nil {
		return err
	}
	if now, err := os.Lstat(name); err != nil || !os.SameFile(now, old) || !now.ModTime().Equal(old.ModTime()) {
		return errors.Join(err, errors.New("the index has changed"))
	}
	if err := os.Chtimes(f.Name(), old.ModTime(), old.ModTime()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
