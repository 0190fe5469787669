//go:build unix

package trees

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// mark tells one state of a file from all others: the kernel sets the time of change
// whenever content, owner, mode, names or attributes change, and nobody else can set
// it. A directory changes if a name in it does.
type mark struct{ dev, ino, changed uint64 }

func markOf(st *unix.Stat_t) mark {
	return mark{uint64(st.Dev), uint64(st.Ino), uint64(st.Ctim.Nano())}
}

// markSize is the length of a mark in bytes.
const markSize = 3 * 8

func (m mark) append(to []byte) []byte {
	to = binary.LittleEndian.AppendUint64(to, m.dev)
	to = binary.LittleEndian.AppendUint64(to, m.ino)
	return binary.LittleEndian.AppendUint64(to, m.changed)
}

// is reports whether a mark has these bytes, of which there are markSize.
func (m mark) is(b []byte) bool {
	return m.dev == binary.LittleEndian.Uint64(b) && m.ino == binary.LittleEndian.Uint64(b[8:]) && m.changed == binary.LittleEndian.Uint64(b[16:])
}

const (
	// Tick is longer than the clock of the kernel stands still for times of files. Within
	// it, a change may leave no trace.
	Tick = 20 * time.Millisecond
	// coarseTick is the same for filesystems that keep whole seconds. FAT keeps even ones.
	coarseTick = 2 * time.Second
)

// marksOf returns the marks of a tree that was listed from a time on, or nil if they
// cannot be trusted.
func marksOf(tree *listing, began time.Time) []byte {
	var m marker
	text := m.directory(nil, tree)
	margin := Tick
	if !m.fine {
		margin = coarseTick
	}
	if m.latest >= uint64(began.Add(-margin).UnixNano()) {
		return nil
	}
	return text
}

// marker writes the marks of a tree.
type marker struct {
	latest uint64 // the time of the latest change
	fine   bool   // the filesystem keeps fractions of seconds
}

func (m *marker) add(to []byte, k mark) []byte {
	m.latest = max(m.latest, k.changed)
	m.fine = m.fine || k.changed%uint64(time.Second) != 0
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
		name := p[len(parent(p)):]
		if name[0] == '/' {
			name = name[1:]
		}
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
// looked at it, by the marks from that time. It opens directories only, and takes half
// of the time of a scan or less.
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
	length := int(binary.LittleEndian.Uint32(b[size:]))
	if b = b[size+4:]; length == 0 {
		length = markSize
	}
	if len(b) < length || name == "" {
		return "", nil, nil, false
	}
	return name, b[:length], b[length:], true
}
