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

// ErrApplied means that a directory has a record of a configuration. Its
// templates are gone, so it cannot be configured again.
var ErrApplied = errors.New("it was already configured")

// Where new files wait until they are put in place.
const (
	// partialPath holds a set of files that is not complete.
	partialPath = images.Dir + "/config.partial"
	// pendingPath holds a complete set. Any process that finds it must put its
	// files in place.
	pendingPath = images.Dir + "/config.pending"
)

// Configure puts the files of an overlay in place in the image's directory dir.
// The overlay includes the record of the configuration, which comes last.
// Either all files are put in place or none: Configure first writes all files
// to the disk, and only then renames the first one to its place. If it fails
// before that, the directory is unchanged. If the process dies after that,
// [Recover] or the next Configure does the rest.
//
// A replaced file keeps only its path: owner, mode, time and extended
// attributes come from the overlay. Other hard links to the old file keep the
// old content. Before it changes anything, Configure returns an error if the
// target is a directory or is on another filesystem than the record. If dir
// already has a record, the error is [ErrApplied].
//
// A process that is not root makes files that belong to itself, without setuid.
// What is lost then is what [Write] reported when the directory was made.
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

// Recover repairs the traces of an interrupted Configure. If that Configure was
// ready to put files in place, Recover finishes it; otherwise Recover removes
// what it left. If dir has no such traces, or is not a directory, Recover does
// nothing and returns no error.
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
	root         *Root
	dirs         *Dirs
	queue        *Dirs // where files wait
	home         int   // descriptor of /.cloudlet, locked; -1 if not open
	made         bool  // /.cloudlet is new
	unprivileged bool  // this process lacks root's rights
	step         func(string) error
}

func newConfigurer(dir string, step func(string) error) (*configurer, error) {
	root, err := Open(dir)
	if err != nil {
		return nil, err
	}
	return &configurer{root: root, dirs: root.Dirs(), queue: root.Dirs(), home: -1, unprivileged: !privileged(), step: step}, nil
}

func (c *configurer) close() {
	if c.home >= 0 {
		unix.Close(c.home) // this also releases the lock
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

// recordLast returns the overlay in the order in which its files are put in
// place.
func recordLast(o images.Overlay) ([]images.File, error) {
	isRecord := func(f images.File) bool { return f.Path == images.AppliedConfigPath }
	i := slices.IndexFunc(o, isRecord)
	if i < 0 {
		return nil, fmt.Errorf("the overlay has no %s", images.AppliedConfigPath)
	}
	files := slices.Delete(slices.Clone([]images.File(o)), i, i+1)
	return append(files, o[i]), nil
}

// recover completes or removes what an earlier run left.
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

// exists reports whether there is a file of any type at p.
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

// applied returns the error for a directory that has a record, with the time at
// which the record was put in place.
func (c *configurer) applied() error {
	st, err := c.dirs.Stat(images.AppliedConfigPath)
	if err != nil {
		return fmt.Errorf("look at %s: %w", images.AppliedConfigPath, err)
	}
	// The change time (ctime) is that of the rename. The modification time is
	// useless here: it is the same in all copies.
	on := time.Unix(st.Ctim.Unix()).UTC().Format("2006-01-02 15:04:05 UTC")
	return fmt.Errorf("%w, on %s; to configure it again, start from a fresh copy of the image", ErrApplied, on)
}

// holds reports whether the directory has the file with exactly this content.
func (c *configurer) holds(f images.File) bool {
	text, err := c.read(f.Path, int64(len(f.Content)))
	return err == nil && bytes.Equal(text, f.Content)
}

// lock opens the folder in which files wait, and locks out other processes.
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
			return errors.New("another process is configuring it: wait until that ends")
		}
		return fmt.Errorf("lock %s: %w", images.Dir, err)
	}
	c.home = fd
	return nil
}

// remove removes the folder at p and its contents.
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
