package metadata

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
)

// check refuses what no file can be, and what would lead out of an image.
func (r *Record) check(keys []string) error {
	if err := checkPath(r.Path); err != nil {
		return fmt.Errorf("the path %.200q %w", r.Path, err)
	}
	has := func(key string) bool { return slices.Contains(keys, key) }
	device := r.Type == images.CharDevice || r.Type == images.BlockDevice
	switch {
	case has("link") && len(keys) > 1:
		return errors.New("link= stands with other keywords: those belong to the file that it is a link to")
	case has("device") != device:
		return errors.New("device= and type=char or type=block go together")
	case r.Path == "/" && r.Type != 0:
		return errors.New("the root is a directory that is never empty")
	}
	if has("link") {
		return r.checkLink()
	}
	for name, value := range r.Xattrs {
		if name == "" || len(name) > 255 || len(value) > 64<<10 || strings.ContainsRune(name, 0) {
			return fmt.Errorf("the extended attribute %.40q is impossible", name)
		}
	}
	return nil
}

func (r *Record) checkLink() error {
	if err := checkPath(r.Link); err != nil {
		return fmt.Errorf("the link %.200q %w", r.Link, err)
	}
	if r.Link == r.Path || r.Link == "/" {
		return errors.New("the link is to no other file")
	}
	return nil
}

func checkPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/") || path.Clean(p) != p:
		return errors.New("is not absolute and clean")
	case len(p) > 4095 || strings.ContainsRune(p, 0):
		return errors.New("is one that no filesystem takes")
	case images.IsBookkeeping(p):
		return errors.New("is bookkeeping, which has no metadata")
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > 255 {
			return errors.New("has a name that no filesystem takes")
		}
	}
	return nil
}
