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
	if len(owners) == 0 {
		return
	}
	if text, whole := index.WithOwners(owners); whole {
		_ = g.replaceIndex(text, info)
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

// indexCopy is a file of the state: an index that is about to replace git's.
const indexCopy = "index"

// replaceIndex replaces git's index as git does it: by way of a file that keeps
// others from doing the same. The new file has the old time, by which git knows
// which files may have changed unseen after the index was written.
func (g *gitTool) replaceIndex(text []byte, old os.FileInfo) (err error) {
	folder := filepath.Join(g.dir, ".git")
	written, index := filepath.Join(folder, stateFolder, indexCopy), filepath.Join(folder, "index")
	defer func() { err = errors.Join(err, g.dropIndexCopy()) }()
	if err := errors.Join(writeNew(written, text), os.Chmod(written, old.Mode().Perm())); err != nil {
		return err
	}
	if err := os.Chtimes(written, old.ModTime(), old.ModTime()); err != nil {
		return err
	}
	if err := os.Link(written, index+".lock"); err != nil {
		return err
	}
	if now, err := os.Lstat(index); err != nil || !os.SameFile(now, old) || !now.ModTime().Equal(old.ModTime()) {
		return errors.Join(err, errors.New("the index has changed"))
	}
	return os.Rename(index+".lock", index)
}

// writeNew writes a file that is not there yet.
func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// dropIndexCopy removes what is left of replacing the index. A lock that is the
// same file is this program's own, so a run that was killed does not keep git
// from working.
func (g *gitTool) dropIndexCopy() error {
	folder := filepath.Join(g.dir, ".git")
	written, lock := filepath.Join(folder, stateFolder, indexCopy), filepath.Join(folder, "index.lock")
	own, err := os.Lstat(written)
	if err != nil {
		return nil //nolint:nilerr // usually there is none
	}
	if other, err := os.Lstat(lock); err == nil && os.SameFile(own, other) {
		if err := os.Remove(lock); err != nil {
			return err
		}
	}
	return os.Remove(written)
}
