//go:build linux

package erofs_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"cloudlets/images"
)

// filesystem reads an EROFS that is compressed with zstd as the kernel does: from the
// superblock on, and each byte by a search in the index. It knows the format only from the
// kernel's fs/erofs, and shares nothing with what writes it. So a test needs no kernel
// that reads zstd.
type filesystem struct {
	file    io.ReaderAt
	root    uint64
	decoder *zstd.Decoder
}

var le = binary.LittleEndian

// readFilesystem opens a filesystem, until the test ends.
func readFilesystem(t testing.TB, img string) *filesystem {
	t.Helper()
	file, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	f := &filesystem{file: file}
	if err := f.superblock(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.decoder.Close)
	return f
}

func (f *filesystem) superblock() error {
	b, err := f.bytes(1024, 3072)
	if err != nil {
		return err
	}
	sum := le.Uint32(b[4:])
	le.PutUint32(b[4:], 0)
	const zeroPadding, formats, chunked = 1, 2, 4
	features := le.Uint32(b[80:])
	switch {
	case le.Uint32(b) != 0xe0f5e1e2, b[12] != 12, le.Uint32(b[40:]) != 0:
		return errors.New("it is no EROFS of blocks of 4 KiB")
	case ^crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) != sum:
		return errors.New("the superblock's checksum is wrong")
	case features&^chunked != zeroPadding|formats:
		return fmt.Errorf("it needs %#x", features)
	case b[13] != 0, le.Uint16(b[84:]) != 1<<3:
		return fmt.Errorf("its compressions are %#x", le.Uint16(b[84:]))
	case le.Uint16(b[128:]) != 6, b[130] != 0, b[131] > 10:
		return fmt.Errorf("the parameters of zstd are %x", b[128:136])
	}
	f.root = uint64(le.Uint16(b[14:]))
	f.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(1<<(10+b[131])))
	return err
}

func (f *filesystem) bytes(at, n int64) ([]byte, error) {
	b := make([]byte, n)
	_, err := f.file.ReadAt(b, at)
	return b, err
}

// node is a file of a filesystem.
type node struct {
	images.Entry
	fs     *filesystem
	layout uint16
	what   uint32
	after  int64 // offset of what follows the inode and its attributes

	last    run // whose data is in content
	content []byte
}

func (f *filesystem) node(number uint64) (*node, error) {
	at := int64(number) * 32
	b, err := f.bytes(at, 64)
	if err != nil {
		return nil, err
	}
	n := &node{fs: f, layout: le.Uint16(b) >> 1, what: le.Uint32(b[16:]), after: at + 64}
	if le.Uint16(b)&1 == 0 {
		return nil, errors.New("the inode is not extended")
	}
	mode := le.Uint16(b[4:])
	n.Mode, n.UID, n.GID = uint32(mode&0o7777), le.Uint32(b[24:]), le.Uint32(b[28:])
	n.Size, n.ModTime = int64(le.Uint64(b[8:])), time.Unix(int64(le.Uint64(b[32:])), int64(le.Uint32(b[40:])))
	n.Type = map[uint16]images.Type{0o04: images.Directory, 0o10: images.Regular, 0o12: images.Symlink,
		0o02: images.CharDevice, 0o06: images.BlockDevice, 0o01: images.FIFO}[mode>>12]
	if n.Type == images.CharDevice || n.Type == images.BlockDevice {
		n.Major, n.Minor = n.what>>8&0xfff, n.what&0xff|n.what>>12&^0xff
	}
	if count := int64(le.Uint16(b[2:])); count > 0 {
		n.after += 12 + 4*(count-1)
		n.Xattrs, err = f.xattrs(at+64+12, 4*(count-1))
	}
	return n, err
}

func (f *filesystem) xattrs(at, size int64) (map[string]string, error) {
	b, err := f.bytes(at, size)
	all := map[string]string{}
	for err == nil && len(b) > 0 {
		prefix := map[byte]string{1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default", 4: "trusted.", 6: "security."}[b[1]]
		name, value := 4+int(b[0]), int(le.Uint16(b[2:]))
		all[prefix+string(b[4:name])] = string(b[name : name+value])
		b = b[(name+value+3)&^3:]
	}
	return all, err
}

// ReadAt reads a part of a file's content.
func (n *node) ReadAt(p []byte, at int64) (done int, err error) {
	for done < len(p) && err == nil {
		if at >= n.Size {
			return done, io.EOF
		}
		var part []byte
		if part, err = n.from(at); err == nil {
			c := copy(p[done:], part)
			done, at = done+c, at+int64(c)
		}
	}
	return done, err
}

// from returns some content from an offset on.
func (n *node) from(at int64) ([]byte, error) {
	block, length := at/4096, min(4096-at%4096, n.Size-at)
	switch n.layout {
	case 0:
		return n.fs.bytes(int64(n.what)*4096+at, length)
	case 1:
		return n.unpacked(at)
	case 2:
		if block == n.Size/4096 {
			return n.fs.bytes(n.after+at%4096, length)
		}
		return n.fs.bytes(int64(n.what)*4096+at, length)
	case 4:
		chunk := int64(4096) << n.what
		b, err := n.fs.bytes(n.after+at/chunk*4, 4)
		if err != nil || le.Uint32(b) == 1<<32-1 {
			return make([]byte, length), err
		}
		return n.fs.bytes(int64(le.Uint32(b))*4096+at%chunk, length)
	}
	return nil, fmt.Errorf("its layout is %d", n.layout)
}

// run is an extent of a compressed file.
type run struct {
	start, end int64
	kind       uint16
	at, length int64 // of its blocks
}

// entry is one of the index.
type entry struct {
	kind, offset uint16
	block        uint32
	back, ahead  uint16
}

func (n *node) entry(i int64) (e entry, err error) {
	b, err := n.fs.bytes((n.after+7)&^7+16+8*i, 8)
	if err == nil {
		e = entry{le.Uint16(b), le.Uint16(b[2:]), le.Uint32(b[4:]), le.Uint16(b[4:]), le.Uint16(b[6:])}
	}
	return e, err
}

const plainRun, packedRun, inside, countsBlocks = 0, 1, 2, 1 << 11

// find looks for the extent with the byte at an offset.
func (n *node) find(at int64) (r run, err error) {
	i := at / 4096
	e, err := n.entry(i)
	if err == nil && e.kind != inside && at%4096 < int64(e.offset) {
		i--
		e, err = n.entry(i)
	}
	for err == nil && e.kind == inside {
		back := int64(e.back)
		if e.back&countsBlocks != 0 {
			back = 1
		}
		if i -= back; i < 0 || back == 0 {
			return r, errors.New("an extent begins before the file")
		}
		e, err = n.entry(i)
	}
	if err != nil {
		return r, err
	}
	r = run{start: i*4096 + int64(e.offset), kind: e.kind, at: int64(e.block) * 4096}
	r.end, r.length, err = n.end(i)
	return r, err
}

// end finds where the extent that begins at an entry of the index ends, and the length
// of its blocks.
func (n *node) end(i int64) (end, length int64, err error) {
	length = 4096
	for next := i + 1; next*4096 <= n.Size; {
		e, err := n.entry(next)
		switch {
		case err != nil:
			return 0, 0, err
		case e.kind != inside:
			return next*4096 + int64(e.offset), length, nil
		case e.ahead == 0:
			return 0, 0, errors.New("an entry does not tell where the next head is")
		case e.back&countsBlocks != 0 != (next == i+1):
			return 0, 0, errors.New("the entry after the head counts its blocks, and no other one")
		case next == i+1:
			length = int64(e.back&^countsBlocks) * 4096
		case int64(e.back) != next-i:
			return 0, 0, errors.New("an entry has the wrong distance to its head")
		}
		next += int64(e.ahead)
	}
	return n.Size, length, nil
}

// unpacked returns the data of an extent from an offset on.
func (n *node) unpacked(at int64) ([]byte, error) {
	if at < n.last.start || at >= n.last.end {
		head, err := n.fs.bytes((n.after+7)&^7, 16)
		if err != nil || !bytes.Equal(head, []byte{4: 2, 6: 3, 15: 0}) {
			return nil, fmt.Errorf("the index begins with %x (%v)", head, err)
		}
		if n.last, err = n.find(at); err != nil {
			return nil, err
		}
		if n.content, err = n.fs.unpack(n.last); err != nil {
			return nil, fmt.Errorf("from %d to %d: %w", n.last.start, n.last.end, err)
		}
	}
	return n.content[at-n.last.start:], nil
}

// unpack reads the data of an extent.
func (f *filesystem) unpack(r run) ([]byte, error) {
	b, err := f.bytes(r.at, r.length)
	if err != nil {
		return nil, err
	}
	size := r.end - r.start
	switch {
	case r.kind == plainRun && size <= r.length:
		return b[:size], nil
	case r.kind != packedRun:
		return nil, fmt.Errorf("an extent of kind %d has %d bytes in %d", r.kind, size, r.length)
	}
	packed := bytes.TrimLeft(b, "\x00")
	if len(b)-len(packed) >= 4096 {
		return nil, errors.New("a whole block is padding")
	}
	content, err := f.decoder.DecodeAll(packed, nil)
	if err == nil && int64(len(content)) != size {
		err = fmt.Errorf("an extent has %d bytes, want %d", len(content), size)
	}
	return content, err
}

// Walk makes a filesystem a source.
func (f *filesystem) Walk(ctx context.Context, visit images.VisitFunc) error {
	return f.walk("/", f.root, map[uint64]string{}, visit)
}

func (f *filesystem) walk(name string, number uint64, seen map[uint64]string, visit images.VisitFunc) error {
	if first, ok := seen[number]; ok {
		return visit(images.Entry{Path: name, Type: images.HardLink, Link: first}, nil)
	}
	seen[number] = name
	n, err := f.node(number)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	n.Path = name
	switch n.Type {
	case images.Regular:
		if err := visit(n.Entry, io.NewSectionReader(n, 0, n.Size)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	case images.Symlink:
		target := make([]byte, n.Size)
		if _, err := n.ReadAt(target, 0); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		n.Link = string(target)
	}
	shown := n.Entry
	shown.Size = 0
	if err := visit(shown, nil); err != nil || n.Type != images.Directory {
		return err
	}
	return f.names(n, seen, visit)
}

// names walks what is in a directory.
func (f *filesystem) names(dir *node, seen map[uint64]string, visit images.VisitFunc) error {
	return dir.eachName(func(name string, number uint64) error {
		if name == "." || name == ".." {
			return nil
		}
		return f.walk(path.Join(dir.Path, name), number, seen, visit)
	})
}

// eachName lists a directory.
func (n *node) eachName(do func(name string, number uint64) error) error {
	content, err := io.ReadAll(io.NewSectionReader(n, 0, n.Size))
	if err != nil {
		return err
	}
	for block := range slices.Chunk(content, 4096) {
		first := int(le.Uint16(block[8:]))
		for at := 0; at < first; at += 12 {
			start, end := int(le.Uint16(block[at+8:])), len(block)
			if at+12 < first {
				end = int(le.Uint16(block[at+12+8:]))
			}
			name, _, _ := bytes.Cut(block[start:end], []byte{0})
			if err := do(string(name), le.Uint64(block[at:])); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookUp returns a file of the root directory.
func (f *filesystem) lookUp(name string) (found *node, err error) {
	root, err := f.node(f.root)
	if err != nil {
		return nil, err
	}
	err = root.eachName(func(n string, number uint64) error {
		if n != name {
			return nil
		}
		found, err = f.node(number)
		return err
	})
	return found, err
}
