//go:build unix

package rootfs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// ErrApplied says that a directory has a record of a configuration: its
// templates are gone, so that it cannot be configured again.
var ErrApplied = errors.New("it was configured already")

// Where new contents wait for their places.
const (
	// partialPath is a set of them that is not whole.
	partialPath = images.Dir + "/config.partial"
	// pendingPath is a whole one: whoever finds it puts its files in place.
	pendingPath = images.Dir + "/config.pending"
)

// Configure puts an overlay's files in their places in the image's directory
// dir, and the record of the configuration, which is one of them, last. It is
// all or nothing: all files are made and on the disk before the first is put
// in its place by a rename. If there is an error before that, the directory is
// as it was; if the process dies after it, [Recover] or the next Configure does
// the rest.
//
// A file that is replaced keeps nothing but its place: owner, mode, time and
// extended attributes are the overlay's. Other hard links of it stay what they
// were. One that is on another filesystem than the record, or is a directory,
// is an error before anything is changed. If there is a record in dir the error
// is [ErrApplied].
//
// Who is not root makes files of their own, without setuid; what is lost then
// is what [Write] has reported when the directory was made.
func Configure(ctx context.Context, dir string, o images.Overlay) error {
	return configure(ctx, dir, o, func(string) error { return nil })
}

// configure is Configure with a hook that is called before every step.
func configure(ctx context.Context, dir string, o images.Overlay, step func(string) error) error {
	c, err := newConfigurer(dir, step)
	if err == nil {
		defer c.close()
		err = c.configure(ctx, o)
	}
	if err != nil {
		return fmt.Errorf("configure %s: %w", dir, err)
	}
	return nil
}

// Recover completes what a Configure began that was broken off, or clears up
// after one that had not come to change anything. There is nothing to do, and
// no error, if dir has no trace of one, or is not a directory.
func Recover(ctx context.Context, dir string) error {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return nil
	}
	c, err := newConfigurer(dir, func(string) error { return nil })
	if err == nil {
		defer c.close()
		_, err = c.recover(ctx)
	}
	if err != nil {
		return fmt.Errorf("complete the configuration of %s: %w", dir, err)
	}
	return nil
}

// configurer is the state of one Configure or Recover.
type configurer struct {
	root   *Root
	dirs   *Dirs
	queue  *Dirs // where files wait
	home   int   // /.cloudlet, locked; -1 is none
	made   bool
	trying bool // without the rights of root
	step   func(string) error
}

func newConfigurer(dir string, step func(string) error) (*configurer, error) {
	root, err := Open(dir)
	if err != nil {
		return nil, err
	}
	return &configurer{root: root, dirs: root.Dirs(), queue: root.Dirs(), home: -1, trying: !privileged(), step: step}, nil
}

func (c *configurer) close() {
	if c.home >= 0 {
		unix.Close(c.home) // and gives the lock up
	}
	c.dirs.Close()
	c.queue.Close()
	c.root.Close()
}

func (c *configurer) configure(ctx context.Context, o images.Overlay) error {
	files, err := recordLast(o)
	if err != nil {
		return err
	}
	if err := c.makeHome(); err != nil {
		return errors.Join(err, c.undo())
	}
	if err := c.lock(); err != nil {
		return err
	}
	completed, err := c.recover(ctx)
	if err != nil {
		return errors.Join(err, c.undo())
	}
	record := files[len(files)-1]
	if there, err := c.exists(record.Path); err != nil || there {
		if completed && c.holds(record) {
			return nil
		}
		return cmp.Or(err, c.applied())
	}
	if err := c.prepare(ctx, files); err != nil {
		return errors.Join(err, c.undo())
	}
	return c.place()
}

// recordLast is the overlay in the order in which its files are put in place.
func recordLast(o images.Overlay) ([]images.File, error) {
	isRecord := func(f images.File) bool { return f.Path == images.AppliedConfigPath }
	i := slices.IndexFunc(o, isRecord)
	if i < 0 {
		return nil, fmt.Errorf("the overlay has no %s", images.AppliedConfigPath)
	}
	files := slices.Delete(slices.Clone([]images.File(o)), i, i+1)
	return append(files, o[i]), nil
}

// recover finds what an earlier run left, and completes or removes it.
func (c *configurer) recover(ctx context.Context) (completed bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	pending, err := c.exists(pendingPath)
	if err != nil {
		return false, err
	}
	partial, err := c.exists(partialPath)
	if err != nil || !pending && !partial {
		return false, err
	}
	if err := c.lock(); err != nil {
		return false, err
	}
	if partial {
		if err := c.remove(partialPath); err != nil {
			return false, err
		}
	}
	if !pending {
		return false, nil
	}
	return true, c.place()
}

// exists tells whether there is anything at p.
func (c *configurer) exists(p string) (bool, error) {
	_, err := c.dirs.Stat(p)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return false, nil
	}
	return false, fmt.Errorf("look at %s: %w", p, err)
}

// applied says when the record was put in its place.
func (c *configurer) applied() error {
	st, err := c.dirs.Stat(images.AppliedConfigPath)
	if err != nil {
		return fmt.Errorf("look at %s: %w", images.AppliedConfigPath, err)
	}
	// The time of the last change is that of the rename. The file's own
	// time says nothing: it is the same in all copies.
	on := time.Unix(st.Ctim.Unix()).UTC().Format("2006-01-02 15:04:05 UTC")
	return fmt.Errorf("%w, on %s; to configure it anew, begin with a fresh copy of the image", ErrApplied, on)
}

// holds tells whether a file is in the directory with the very content.
func (c *configurer) holds(f images.File) bool {
	text, err := c.read(f.Path, int64(len(f.Content)))
	return err == nil && bytes.Equal(text, f.Content)
}

// lock opens the folder that files wait in and keeps other processes out.
func (c *configurer) lock() error {
	if c.home >= 0 {
		return nil
	}
	fd, err := c.dirs.Open(images.Dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("open %s: %w", images.Dir, err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		unix.Close(fd)
		if err == unix.EWOULDBLOCK {
			return errors.New("another process is configuring it: wait for that")
		}
		return fmt.Errorf("lock %s: %w", images.Dir, err)
	}
	c.home = fd
	return nil
}

// remove removes the folder at p with all that is in it.
func (c *configurer) remove(p string) error {
	if err := c.step("remove " + p); err != nil {
		return err
	}
	root, err := os.OpenRoot(c.root.Name())
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.RemoveAll(p[1:]); err != nil {
		return fmt.Errorf("remove %s: %w", p, err)
	}
	return nil
}

// read reads a file of at most max bytes.
func (c *configurer) read(p string, max int64) ([]byte, error) {
	fd, err := c.dirs.Open(p, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), p)
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(text)) > max {
		err = fmt.Errorf("it is longer than %d bytes", max)
	}
	return text, err
}
