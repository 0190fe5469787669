//go:build unix

package trees

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// mark tells one state of a file from others: the kernel sets the time of change
// whenever content, owner, mode, names or attributes change, and on filesystems that
// can be written to nobody else can set it. A directory changes if a name in it does.
// The rest of a mark is for files that another mount shows in another way.
type mark struct {
	dev, ino, changed, size uint64
	mode, uid, gid, rdev    uint32
}

func markOf(st *unix.Stat_t) mark {
	return mark{
		uint64(st.Dev), uint64(st.Ino), uint64(st.Ctim.Nano()), uint64(st.Size),
		uint32(st.Mode), st.Uid, st.Gid, uint32(st.Rdev),
	}
}

// markSize is the length of a mark in bytes.
const markSize = 4*8 + 4*4

func (m mark) append(to []byte) []byte {
	for _, n := range [...]uint64{m.dev, m.ino, m.changed, m.size} {
		to = binary.LittleEndian.AppendUint64(to, n)
	}
	for _, n := range [...]uint32{m.mode, m.uid, m.gid, m.rdev} {
		to = binary.LittleEndian.AppendUint32(to, n)
	}
	return to
}

// is reports whether a mark has these bytes, of which there are markSize.
func (m mark) is(b []byte) bool {
	var own [markSize]byte
	return bytes.Equal(m.append(own[:0]), b[:markSize])
}

const (
	// Tick is longer than the clock of the kernel stands still for times of files. Within
	// it, a change may leave no trace.
	Tick = 20 * time.Millisecond
	// coarseTick is the same for filesystems that keep whole seconds. FAT keeps even ones.
	coarseTick = 2 * time.Second
)

// Marks tell the state of each file of a tree that was scanned.
type Marks struct{ tree *listing }

// Text returns what [Unchanged] needs to find out later whether the tree still is as it
// was. It returns nil if a file may have changed without a trace: because it had changed
// just before the scan, which did not begin before a given time.
func (m *Marks) Text(began time.Time) []byte {
	w := marker{times: map[uint64]*times{}}
	text := w.directory(nil, m.tree)
	for _, t := range w.times {
		if !IsOld(time.Unix(0, int64(t.latest)), !t.fine, began) {
			return nil
		}
	}
	return text
}

// IsOld reports whether the last change of a file is so long before a time that any
// change from that time on gives the file another time of change. coarse means that its
// filesystem keeps whole seconds.
func IsOld(changed time.Time, coarse bool, at time.Time) bool {
	margin := Tick
	if coarse {
		margin = coarseTick
	}
	return changed.Before(at.Add(-margin))
}

// marker writes the marks of a tree.
type marker struct {
	times map[uint64]*times // by device
	dev   uint64            // the last one
	last  *times
}

// times are those of the files on a device.
type times struct {
	latest uint64 // that of the latest change
	fine   bool   // the filesystem keeps fractions of seconds
}

func (m *marker) add(to []byte, k mark) []byte {
	if m.last == nil || m.dev != k.dev {
		if m.times[k.dev] == nil {
			m.times[k.dev] = new(times)
		}
		m.dev, m.last = k.dev, m.times[k.dev]
	}
	m.last.latest = max(m.last.latest, k.changed)
	m.last.fine = m.last.fine || k.changed%uint64(time.Second) != 0
	return k.append(to)
}

// directory appends a directory: its mark, how many files are in it, and for each its
// name, and its mark or, if it is a directory, the length of what follows for it. A
// length takes four bytes; that of a file is 0.
func (m *marker) directory(to []byte, l *listing) []byte {
	to = m.add(to, l.mark)
	to = binary.LittleEndian.AppendUint32(to, uint32(len(l.files)))
	for i := range l.files {
		f := &l.files[i]
		inner := f.inside
		p := f.Path
		if inner != nil {
			p = inner.dir.Path
		}
		name := p[strings.LastIndexByte(p, '/')+1:]
		to = append(binary.LittleEndian.AppendUint16(to, uint16(len(name))), name...)
		at := len(to)
		to = binary.LittleEndian.AppendUint32(to, 0)
		if inner == nil {
			to = m.add(to, f.mark)
			continue
		}
		to = m.directory(to, inner)
		binary.LittleEndian.PutUint32(to[at:], uint32(len(to)-at-4))
	}
	return to
}

// Unchanged reports whether the tree in a directory still is as it was when [Scan]
// looked at it, by the marks from that time. It takes less than a scan, since it lists no
// directory and reads no attributes.
func Unchanged(ctx context.Context, dir string, marks []byte) (bool, error) {
	root, err := openDir(unix.AT_FDCWD, dir, 0)
	if err != nil {
		return false, fmt.Errorf("open %s: %w", dir, err)
	}
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(runtime.GOMAXPROCS(0))
	v := verifier{workers}
	workers.Go(func() error { return v.directory(ctx, root, marks) })
	err = workers.Wait()
	if errors.Is(err, errChanged) {
		return false, nil
	}
	return err == nil, err
}

// errChanged ends a verification: something is not as it was, or the marks are not
// whole.
var errChanged = errors.New("it has changed")

// verifier compares a tree with marks, as many directories at once as there are
// processors.
type verifier struct{ workers *errgroup.Group }

// directory compares an open directory, and closes it.
func (v verifier) directory(ctx context.Context, dir int, marks []byte) error {
	defer unix.Close(dir)
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return err
	}
	if len(marks) < markSize+4 || !markOf(&st).is(marks) {
		return errChanged
	}
	count := binary.LittleEndian.Uint32(marks[markSize:])
	rest := marks[markSize+4:]
	for range count {
		if err := ctx.Err(); err != nil {
			return err
		}
		name, inner, after, ok := cutMark(rest)
		if !ok {
			return errChanged
		}
		if err := v.child(ctx, dir, name, inner); err != nil {
			return err
		}
		rest = after
	}
	return nil
}

// child compares the file called name in a directory. Inner has what is known of it if
// it is a directory, and otherwise is its mark.
func (v verifier) child(ctx context.Context, dir int, name string, inner []byte) error {
	if len(inner) == markSize {
		var st unix.Stat_t
		err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil || !markOf(&st).is(inner) {
			return errChanged
		}
		return nil
	}
	fd, err := openDir(dir, name, unix.O_NOFOLLOW)
	if err != nil {
		return errChanged
	}
	look := func() error { return v.directory(ctx, fd, inner) }
	if !v.workers.TryGo(look) {
		return look()
	}
	return nil
}

// cutMark cuts the first file off the rest of a directory.
func cutMark(b []byte) (name string, inner, rest []byte, ok bool) {
	if len(b) < 2 {
		return "", nil, nil, false
	}
	size := int(binary.LittleEndian.Uint16(b))
	if b = b[2:]; len(b) < size+4 {
		return "", nil, nil, false
	}
	name = string(b[:size])
	length := int64(binary.LittleEndian.Uint32(b[size:]))
	if b = b[size+4:]; length == 0 {
		length = markSize
	}
	if int64(len(b)) < length || name == "" {
		return "", nil, nil, false
	}
	return name, b[:length], b[length:], true
}
