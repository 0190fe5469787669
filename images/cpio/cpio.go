// Package cpio writes archives in the "newc" format of cpio, which Linux unpacks as its
// first root filesystem (Documentation/driver-api/early-userspace/buffer-format). The
// same entries give the same bytes.
//
// The format supports neither extended attributes nor files of 4 GiB or more.
package cpio

import (
	"context"
	"fmt"
	"io"
	"strings"

	"cloudlets/images"
)

// maxFile is the size in bytes of the largest file. A header stores sizes in eight
// hexadecimal digits.
const maxFile = 1<<32 - 1

// fileTypes are the type bits of a mode, as in stat(2).
var fileTypes = map[images.Type]uint32{
	images.FIFO: 0o010000, images.CharDevice: 0o020000, images.Directory: 0o040000,
	images.BlockDevice: 0o060000, images.Regular: 0o100000, images.Symlink: 0o120000,
}

// Writer writes one archive.
type Writer struct {
	w     io.Writer
	n     int64
	inode uint32
}

// NewWriter returns a writer of an archive to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Put appends an entry. Its parent directory should be in the archive already. The
// content of a regular file must have Size bytes. Hard links are written by
// [Writer.PutLinks].
func (a *Writer) Put(e images.Entry, content io.Reader) error {
	a.inode++
	return a.put(e, a.inode, 1, content)
}

// PutLinks appends a file that has several names: the path of e, with the content, and
// those in names.
func (a *Writer) PutLinks(e images.Entry, names []string, content io.Reader) error {
	a.inode++
	inode, links := a.inode, 1+len(names)
	if err := a.put(e, inode, links, content); err != nil {
		return err
	}
	for _, name := range names {
		e.Path, e.Size = name, 0
		if err := a.put(e, inode, links, nil); err != nil {
			return err
		}
	}
	return nil
}

func (a *Writer) put(e images.Entry, inode uint32, links int, content io.Reader) error {
	kind, ok := fileTypes[e.Type]
	if !ok {
		return fmt.Errorf("put %s into the cpio archive: its type cannot be stored: put a hard link with its file", e.Path)
	}
	if e.Type == images.Symlink {
		e.Size, content = int64(len(e.Link)), strings.NewReader(e.Link)
	}
	if e.Size > maxFile {
		return fmt.Errorf("put %s into the cpio archive: it has %d bytes, but the format holds less than 4 GiB", e.Path, e.Size)
	}
	seconds := uint32(min(max(e.ModTime.Unix(), 0), 1<<32-1))
	if err := a.header(header{inode, kind | e.Mode, e.UID, e.GID, uint32(links), seconds, uint32(e.Size), e.Major, e.Minor, name(e.Path)}); err != nil {
		return err
	}
	return a.content(e, content)
}

// name returns a path in the form of archives, without a leading slash.
func name(p string) string {
	if p == "/" {
		return "."
	}
	return strings.TrimPrefix(p, "/")
}

// header holds the fields of the header before each file.
type header struct {
	inode, mode, uid, gid, links, seconds, size, major, minor uint32
	name                                                      string
}

func (a *Writer) header(h header) error {
	text := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		h.inode, h.mode, h.uid, h.gid, h.links, h.seconds, h.size, 0, 0, h.major, h.minor, len(h.name)+1, 0, h.name)
	if err := a.write([]byte(text)); err != nil {
		return fmt.Errorf("write the cpio archive: %w", err)
	}
	return a.pad()
}

func (a *Writer) content(e images.Entry, content io.Reader) error {
	if content == nil {
		return nil
	}
	n, err := io.Copy(a.w, io.LimitReader(content, e.Size))
	a.n += n
	if err != nil {
		return fmt.Errorf("put %s into the cpio archive: %w", e.Path, err)
	}
	if n != e.Size {
		return fmt.Errorf("put %s into the cpio archive: it ended after %d of %d bytes: %w", e.Path, n, e.Size, io.ErrUnexpectedEOF)
	}
	return a.pad()
}

func (a *Writer) write(b []byte) error {
	n, err := a.w.Write(b)
	a.n += int64(n)
	return err
}

// pad writes zeros up to the next multiple of four bytes.
func (a *Writer) pad() error {
	var zero [4]byte
	if err := a.write(zero[:(4-a.n%4)%4]); err != nil {
		return fmt.Errorf("write the cpio archive: %w", err)
	}
	return nil
}

// Close ends the archive.
func (a *Writer) Close() error { return a.header(header{links: 1, name: "TRAILER!!!"}) }

// Write writes a whole source as one archive. It walks the source twice, because an
// archive stores the number of names of each file before the file.
func Write(ctx context.Context, w io.Writer, src images.Source) error {
	names := map[string][]string{}
	err := src.Walk(ctx, func(e images.Entry, _ io.Reader) error {
		if e.Type == images.HardLink {
			names[e.Link] = append(names[e.Link], e.Path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	a := NewWriter(w)
	err = src.Walk(ctx, func(e images.Entry, content io.Reader) error {
		if e.Type == images.HardLink {
			return nil // written together with its file
		}
		return a.PutLinks(e, names[e.Path], content)
	})
	if err != nil {
		return err
	}
	return a.Close()
}
