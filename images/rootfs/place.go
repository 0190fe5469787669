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

// place puts all files of the pending set in their places, the last one when
// the others are there for good, and removes the set. It may be done again
// after it was broken off anywhere.
func (c *configurer) place() error {
	if err := c.placeAll(); err != nil {
		return fmt.Errorf("%w; the files not in their places yet wait in %s: mend that, and configure again to go on", err, pendingPath)
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
		return c.remove(pendingPath) // its removal was broken off
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

// placeSome puts files in their places, of which the first is the one called
// first, and waits until they are there for good.
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

// makeAbove makes the directories above p that are missing.
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

// move puts one file in its place. One that does not wait any more is there
// already.
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

// forget removes the list, before the rest of the set goes.
func (c *configurer) forget() error {
	if err := c.step("forget"); err != nil {
		return err
	}
	return c.dirs.Remove(pendingPath + "/" + listName)
}
