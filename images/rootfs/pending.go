//go:build unix

package rootfs

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

const (
	// listName is the file that says where each waiting file belongs. The path
	// in its first line is for the file called "0", and so on. Paths are quoted
	// as in Go, since they may contain any byte.
	listName = "list"
	// maxList is the maximum length of the list in bytes.
	maxList = 16 << 20
)

func formatList(files []images.File) []byte {
	var text []byte
	for _, f := range files {
		text = append(strconv.AppendQuoteToASCII(text, f.Path), '\n')
	}
	return text
}

// parseList reads what formatList wrote. The list may come from an untrusted
// image, so every path is checked.
func parseList(text []byte) ([]string, error) {
	var paths []string
	for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n"), "\n") {
		p, err := strconv.Unquote(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is not a quoted path: %w", len(paths)+1, err)
		}
		if err := checkPlace(p); err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// checkPlace returns an error for a path that no file of an overlay can have.
func checkPlace(p string) error {
	if _, _, ok := split(p); !ok || p == "/" {
		return fmt.Errorf("%q is not the path of a file in an image", p)
	}
	for _, own := range []string{partialPath, pendingPath} {
		if p == own || strings.HasPrefix(p, own+"/") {
			return fmt.Errorf("%s is reserved for files that wait to be put in place", p)
		}
	}
	return nil
}

// prepare writes all files and then marks the set as complete by a rename.
func (c *configurer) prepare(ctx context.Context, files []images.File) error {
	seen := map[string]bool{}
	for _, f := range files {
		if seen[f.Path] {
			return fmt.Errorf("the overlay has %s twice", f.Path)
		}
		seen[f.Path] = true
		if err := c.check(f); err != nil {
			return err
		}
	}
	if err := c.step("make " + partialPath); err != nil {
		return err
	}
	if err := c.dirs.MakeDir(partialPath); err != nil {
		return fmt.Errorf("make %s: %w", partialPath, err)
	}
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.stage(strconv.Itoa(i), f); err != nil {
			return fmt.Errorf("write the new %s: %w", f.Path, err)
		}
	}
	list := formatList(files)
	entry := images.Entry{Type: images.Regular, Mode: 0o600, ModTime: files[len(files)-1].ModTime}
	if err := c.stage(listName, images.File{Entry: entry, Content: list}); err != nil {
		return fmt.Errorf("write the list of new files: %w", err)
	}
	return c.commit()
}

// makeHome makes /.cloudlet if it does not exist.
func (c *configurer) makeHome() error {
	there, err := c.exists(images.Dir)
	if err != nil || there {
		return err
	}
	if err := c.step("make " + images.Dir); err != nil {
		return err
	}
	if err := c.dirs.MakeDir(images.Dir); err != nil {
		return fmt.Errorf("make %s: %w", images.Dir, err)
	}
	c.made = true
	fd, err := c.dirs.Dir(images.Dir)
	if err == nil {
		err = unix.Fchmod(fd, 0o755)
	}
	return err
}

// check returns an error if a file cannot be put in place by a rename.
func (c *configurer) check(f images.File) error {
	if err := checkPlace(f.Path); err != nil {
		return fmt.Errorf("the overlay: %w", err)
	}
	if f.Type != images.Regular {
		return fmt.Errorf("the overlay's %s is not a regular file", f.Path)
	}
	home, err := placeOf(c.home, "")
	if err != nil {
		return fmt.Errorf("look at %s: %w", images.Dir, err)
	}
	here, err := c.nearest(f.Path)
	if err != nil {
		return fmt.Errorf("look at %s: %w", f.Path, err)
	}
	if here != home {
		return fmt.Errorf("%s is on another filesystem than %s: unmount what is mounted there, and try again", f.Path, images.Dir)
	}
	if st, err := c.dirs.Stat(f.Path); err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return fmt.Errorf("%s is a directory: a file cannot take its place", f.Path)
	}
	return nil
}

// nearest returns the place of a path. If the path does not exist, it returns
// the place of the nearest existing directory above it.
func (c *configurer) nearest(p string) (place, error) {
	for {
		dir, base, err := c.dirs.Parent(p)
		if err == nil {
			var here place
			if here, err = placeOf(dir, base); err == nil {
				return here, nil
			}
		}
		if !errors.Is(err, unix.ENOENT) {
			return place{}, err
		}
		p = path.Dir(p)
	}
}

// stage writes a waiting file and syncs it to the disk.
func (c *configurer) stage(name string, f images.File) error {
	if err := c.step("write " + name); err != nil {
		return err
	}
	e := f.Entry
	e.Path = partialPath + "/" + name
	file, err := c.dirs.Create(e.Path)
	if err != nil {
		return err
	}
	err = c.fill(file, &e, f.Content)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	return err
}

func (c *configurer) fill(file File, e *images.Entry, content []byte) error {
	if err := file.WriteAll(content); err != nil {
		return err
	}
	dir, base, err := c.dirs.Parent(e.Path)
	if err != nil {
		return err
	}
	var a *allowance
	if c.unprivileged {
		a = &allowance{}
	}
	if err := setOpen(file.fd, dir, base, e, a); err != nil {
		return err
	}
	return file.Sync()
}

// commit turns the partial set into the pending one.
func (c *configurer) commit() error {
	if err := c.step("sync " + partialPath); err != nil {
		return err
	}
	if err := c.syncDir(partialPath); err != nil {
		return err
	}
	if c.made {
		if err := c.syncDir("/"); err != nil {
			return err
		}
	}
	if err := c.step("rename " + partialPath); err != nil {
		return err
	}
	if err := unix.Renameat(c.home, path.Base(partialPath), c.home, path.Base(pendingPath)); err != nil {
		return fmt.Errorf("rename %s: %w", partialPath, err)
	}
	return nil
}

// undo restores the directory after prepare failed.
func (c *configurer) undo() error {
	there, err := c.exists(partialPath)
	if there && c.home >= 0 {
		err = c.remove(partialPath)
	}
	if c.made && err == nil {
		err = unix.Unlinkat(c.dirs.root, images.Dir[1:], unix.AT_REMOVEDIR)
	}
	return err
}

func (c *configurer) syncDir(p string) error {
	fd, err := c.dirs.Dir(p)
	if err == nil {
		err = unix.Fsync(fd)
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", p, err)
	}
	return nil
}
