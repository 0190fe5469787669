package metadata

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
)

// check returns an error for a record that cannot describe a real file, or that
// would lead out of the image.
func (r *Record) check(keys []string) error {
	if err := checkPath(r.Path); err != nil {
		return fmt.Errorf("the path %.200q %w", r.Path, err)
	}
	has := func(key string) bool { return slices.Contains(keys, key) }
	device := r.Type == images.CharDevice || r.Type == images.BlockDevice
	switch {
	case has("link") && len(keys) > 1:
		return errors.New("link= stands with other keywords: put these on the line of the file to which it links")
	case has("device") != device:
		return errors.New("type=char and type=block need device=, and no other line may have it")
	case r.Path == "/" && r.Type != 0:
		return errors.New("the root is always a directory: remove its type=")
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
		return errors.New("the link must lead to another file")
	}
	return nil
}

func checkPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/") || path.Clean(p) != p:
		return errors.New("is not absolute and clean")
	case len(p) > 4095 || strings.ContainsRune(p, 0):
		return errors.New("is not possible on any filesystem")
	case images.IsBookkeeping(p):
		return errors.New("belongs to the bookkeeping of the image, which has no metadata")
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > 255 {
			return errors.New("has a name that is not possible on any filesystem")
		}
	}
	return nil
}
