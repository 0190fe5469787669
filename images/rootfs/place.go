//go:build unix

package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// place puts all files of the pending set in place and removes the set. It puts
// the last file, the record, in place only after the others are on the disk. If
// it is interrupted anywhere, it can be run again.
func (c *configurer) place() error {
	if err := c.placeAll(); err != nil {
		return fmt.Errorf("%w; the remaining files wait in %s: fix the cause, then configure again to continue", err, pendingPath)
	}
	return nil
}

func (c *configurer) placeAll() error {
	if err := c.step("sync " + images.Dir); err != nil {
		return err
	}
	if err := c.syncDir(images.Dir); err != nil {
		return err
	}
	text, err := c.read(pendingPath+"/"+listName, maxList)
	if errors.Is(err, unix.ENOENT) {
		return c.remove(pendingPath) // an earlier removal was interrupted
	}
	if err != nil {
		return fmt.Errorf("read the list of new files: %w", err)
	}
	paths, err := parseList(text)
	if err != nil {
		return fmt.Errorf("read the list of new files: %w", err)
	}
	last := len(paths) - 1
	if err := c.placeSome(paths[:last], 0); err != nil {
		return err
	}
	if err := c.placeSome(paths[last:], last); err != nil {
		return err
	}
	if err := c.forget(); err != nil {
		return err
	}
	return c.remove(pendingPath)
}

// placeSome puts files in place and syncs their directories. The first of the
// paths is for the waiting file whose number is first.
func (c *configurer) placeSome(paths []string, first int) error {
	for i, p := range paths {
		if err := c.makeAbove(p); err != nil {
			return fmt.Errorf("make the directory of %s: %w", p, err)
		}
		if err := c.move(strconv.Itoa(first+i), p); err != nil {
			return fmt.Errorf("put the new %s in its place: %w", p, err)
		}
	}
	synced := map[string]bool{}
	for _, p := range paths {
		dir := path.Dir(p)
		if synced[dir] {
			continue
		}
		synced[dir] = true
		if err := c.step("sync " + dir); err != nil {
			return err
		}
		if err := c.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// makeAbove makes the missing directories above p.
func (c *configurer) makeAbove(p string) error {
	dir := path.Dir(p)
	there, err := c.exists(dir)
	if err != nil || there {
		return err
	}
	if err := c.makeAbove(dir); err != nil {
		return err
	}
	if err := c.step("make " + dir); err != nil {
		return err
	}
	if err := c.dirs.MakeDir(dir); err != nil {
		return err
	}
	fd, err := c.dirs.Dir(dir)
	if err != nil {
		return err
	}
	if err := unix.Fchmod(fd, 0o755); err != nil {
		return err
	}
	return c.syncDir(path.Dir(dir))
}

// move puts one file in place. If the file no longer waits, an earlier run has
// put it in place.
func (c *configurer) move(name, to string) error {
	if err := c.step("place " + to); err != nil {
		return err
	}
	dir, base, err := c.dirs.Parent(to)
	if err != nil {
		return err
	}
	from, err := c.queue.Dir(pendingPath)
	if err != nil {
		return err
	}
	err = unix.Renameat(from, name, dir, base)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// forget removes the list before the rest of the set is removed.
func (c *configurer) forget() error {
	if err := c.step("forget"); err != nil {
		return err
	}
	return c.dirs.Remove(pendingPath + "/" + listName)
}
