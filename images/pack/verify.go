//go:build linux

package pack

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/rootfs"
)

// VerifyOptions configure [Verify]. The zero value suits most callers.
type VerifyOptions struct {
	// Workers is the number of files that are read at the same time; 0 means
	// one for each CPU, but at least 2 and at most 8.
	Workers int
	// Skip reports whether to skip a path, e.g. because an overlay changed it.
	Skip func(path string) bool
	// Sums are the checksums that [Extract] recorded for the same pack. If they
	// are given, content is compared with what was written, and otherwise with
	// the digests.
	Sums *Sums
	// Progress, if not nil, is called after each file with content, with the
	// number of bytes that were read and their total. It is never called by two
	// goroutines at once.
	Progress func(done, total int64)
}

// Verify compares the files in dir with the table of contents: the content of
// every file, and the type, mode, owner, device number and link target of every
// entry. If the kernel drops its cache on request, content is read from the
// disk and not from memory. The error names the first few files that differ.
func Verify(ctx context.Context, toc *TOC, dir string, opt VerifyOptions) error {
	root, err := rootfs.Open(dir)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer root.Close()
	v := &verifier{toc: toc, root: root, opt: opt}
	g, gctx := errgroup.WithContext(ctx)
	next := make(chan *entry)
	g.Go(func() error {
		defer close(next)
		return v.list(gctx, next)
	})
	for range rootfs.Workers(opt.Workers) {
		g.Go(func() error { return v.work(gctx, next) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("verify %s against pack %s: %w", dir, toc.info.Digest, err)
	}
	return v.verdict(dir)
}

type verifier struct {
	toc  *TOC
	root *rootfs.Root
	opt  VerifyOptions
	tally
}

func (v *verifier) list(ctx context.Context, next chan<- *entry) error {
	for i := range v.toc.entries {
		e := &v.toc.entries[i]
		if v.opt.Skip != nil && v.opt.Skip(e.Path) {
			v.passed(v.opt, e.Size, v.toc.info.Bytes)
			continue
		}
		select {
		case next <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (v *verifier) work(ctx context.Context, next <-chan *entry) error {
	dirs := v.root.Dirs()
	defer dirs.Close()
	buf := make([]byte, maxFrame)
	for e := range next {
		if err := v.entry(ctx, dirs, e, buf); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			v.differs(fmt.Sprintf("%s on %s: %v", e.Path, v.root.Device(), err))
		}
		v.passed(v.opt, e.Size, v.toc.info.Bytes)
	}
	return nil
}

func (v *verifier) entry(ctx context.Context, dirs *rootfs.Dirs, e *entry, buf []byte) error {
	if err := v.checkStat(dirs, e); err != nil {
		return err
	}
	if e.Size == 0 {
		return nil
	}
	fd, err := dirs.Open(e.Path, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// This has no effect on a filesystem in memory, which is fine.
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
	for i, c := range v.toc.chunksOf(e) {
		if err := ctx.Err(); err != nil {
			return err
		}
		data := buf[:c.size]
		if err := readChunk(fd, c, data); err != nil {
			return err
		}
		if !v.opt.Sums.same(v.toc, e.first+int32(i), data) {
			return fmt.Errorf("the %d bytes at %d are not what was written", c.size, c.off)
		}
	}
	return nil
}

// readChunk fills buf with the bytes of a file at the position of a chunk.
func readChunk(fd int, c chunk, buf []byte) error {
	for have := 0; have < len(buf); {
		n, err := unix.Pread(fd, buf[have:], c.off+int64(have))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read at byte %d: %w", c.off+int64(have), err)
		}
		if n == 0 {
			return fmt.Errorf("it ends at byte %d", c.off+int64(have))
		}
		have += n
	}
	return nil
}

// statTypes are the kernel's constants for file types.
var statTypes = [...]uint32{
	images.Regular: unix.S_IFREG, images.Directory: unix.S_IFDIR, images.Symlink: unix.S_IFLNK,
	images.CharDevice: unix.S_IFCHR, images.BlockDevice: unix.S_IFBLK, images.FIFO: unix.S_IFIFO,
}

// checkStat compares everything except the content. A hard link is compared
// with the file that it names.
func (v *verifier) checkStat(dirs *rootfs.Dirs, e *entry) error {
	want := e.Entry
	if want.Type == images.HardLink {
		i, _ := v.toc.lookup(want.Link)
		want = v.toc.entries[i].Entry
	}
	st, err := dirs.Stat(e.Path)
	if err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT != statTypes[want.Type]:
		return fmt.Errorf("it is not a %s", rowTypes[want.Type])
	case want.Type != images.Symlink && st.Mode&0o7777 != want.Mode:
		return fmt.Errorf("its mode is %#o, not %#o", st.Mode&0o7777, want.Mode)
	case st.Uid != want.UID || st.Gid != want.GID:
		return fmt.Errorf("its owner is %d:%d, not %d:%d", st.Uid, st.Gid, want.UID, want.GID)
	case want.Type == images.Regular && st.Size != want.Size:
		return fmt.Errorf("it has %d bytes, not %d", st.Size, want.Size)
	case isDevice(want) && st.Rdev != unix.Mkdev(want.Major, want.Minor):
		return fmt.Errorf("it is device %d:%d, not %d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev), want.Major, want.Minor)
	case want.Type == images.Symlink:
		return checkTarget(dirs, e.Path, want.Link)
	}
	return checkXattrs(dirs, e.Path, want)
}

// checkXattrs compares the extended attributes of files and directories. Other
// types cannot be opened, but capabilities and ACLs are only on these.
func checkXattrs(dirs *rootfs.Dirs, p string, want images.Entry) error {
	if len(want.Xattrs) == 0 || want.Type != images.Regular && want.Type != images.Directory {
		return nil
	}
	fd, err := dirs.Open(p, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for name, value := range want.Xattrs {
		got := make([]byte, len(value)+1)
		n, err := unix.Fgetxattr(fd, name, got)
		if err != nil {
			return fmt.Errorf("its attribute %s: %w", name, err)
		}
		if string(got[:n]) != value {
			return fmt.Errorf("its attribute %s is %q, not %q", name, got[:n], value)
		}
	}
	return nil
}

func isDevice(e images.Entry) bool {
	return e.Type == images.CharDevice || e.Type == images.BlockDevice
}

func checkTarget(dirs *rootfs.Dirs, p, want string) error {
	dir, base, err := dirs.Parent(p)
	if err != nil {
		return err
	}
	buf := make([]byte, len(want)+1)
	n, err := unix.Readlinkat(dir, base, buf)
	if err != nil {
		return err
	}
	if got := string(buf[:n]); got != want {
		return fmt.Errorf("it links to %q, not %q", got, want)
	}
	return nil
}

// verdict returns an error if anything differs.
func (v *verifier) verdict(dir string) error {
	if v.bad == 0 {
		return nil
	}
	if n := v.bad - len(v.found); n > 0 {
		v.found = append(v.found, fmt.Sprintf("%d more", n))
	}
	return fmt.Errorf("verify %s: %d files differ from the pack: %s; do not trust the disk: replace it, or install again",
		dir, v.bad, strings.Join(v.found, "; "))
}
