package target

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/manifest"
)

// Place is where in an image a persistent path leads to.
type Place struct {
	// Path is as the manifest has it, and At is without links left to follow.
	Path, At string
	// Type is Regular or Directory. Where there is nothing yet it is the
	// latter, and Missing lists the directories to be made, the outermost
	// first.
	Type    images.Type
	Missing []string
}

// notPersistent are places that belong to the running kernel, or to the format.
var notPersistent = []string{"/dev", "/proc", "/sys", "/run", images.Dir}

// PersistentPlaces finds the places of the manifest's persistent paths, sorted
// by path. One that is another's place, or is beneath it, is left out, however
// the links lead there. What cannot be persistent is refused.
func PersistentPlaces(m *manifest.Manifest, t images.Tree) ([]Place, error) {
	var all []Place
	for _, p := range slices.Compact(slices.Sorted(slices.Values(m.Persistent))) {
		place, err := placeOf(t, images.CleanPath(p))
		if err != nil {
			return nil, fmt.Errorf("persistent path %s: %w; correct \"persistent\" in the manifest", p, err)
		}
		all = append(all, place)
	}
	slices.SortStableFunc(all, func(a, b Place) int { return strings.Compare(a.At, b.At) })
	var list []Place
	for _, p := range all {
		if !slices.ContainsFunc(list, func(above Place) bool { return above.Holds(p.At) }) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b Place) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}

// Holds says whether a path without links is the place, or beneath it.
func (p Place) Holds(at string) bool { return at == p.At || strings.HasPrefix(at, p.At+"/") }

func placeOf(t images.Tree, p string) (Place, error) {
	at, missing, err := resolveMissing(t, p)
	if err != nil {
		return Place{}, err
	}
	place := Place{Path: p, At: at, Type: images.Directory, Missing: missing}
	if len(missing) == 0 {
		e, err := t.Entry(at)
		if err == nil && e.Type == images.HardLink {
			e, err = t.Entry(e.Link)
		}
		if err != nil {
			return Place{}, err
		}
		place.Type = e.Type
	}
	switch {
	case at == "/":
		return Place{}, errors.New("it is the whole image, so that no new one would ever be seen")
	case slices.ContainsFunc(notPersistent, func(dir string) bool { return Place{At: dir}.Holds(at) }):
		return Place{}, errors.New("it belongs to the running system, or to the format")
	case place.Type != images.Regular && place.Type != images.Directory:
		return Place{}, errors.New("it is neither a directory nor a regular file")
	}
	return place, nil
}

// resolveMissing is [images.Resolve] for a path that need not be there: it lists what
// is missing of it.
func resolveMissing(t images.Tree, p string) (at string, missing []string, err error) {
	at, err = images.Resolve(t, p)
	if !errors.Is(err, fs.ErrNotExist) {
		return at, nil, err
	}
	if e, err := t.Entry(p); err == nil && e.Type == images.Symlink {
		return "", nil, fmt.Errorf("it is a link to %s, which is not there", e.Link)
	}
	dir, missing, err := resolveMissing(t, path.Dir(p))
	if err != nil {
		return "", nil, err
	}
	if len(missing) == 0 {
		if e, err := t.Entry(dir); err != nil || e.Type != images.Directory {
			return "", nil, errors.Join(fmt.Errorf("%s is no directory", dir), err)
		}
	}
	at = path.Join(dir, path.Base(p))
	return at, append(missing, at), nil
}
