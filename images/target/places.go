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

// Place is the place in an image to which a persistent path leads.
type Place struct {
	// Path is the path from the manifest. At is where it leads once all links
	// are followed.
	Path, At string
	// Type is Regular or Directory. If the image has nothing there yet, Type is
	// Directory, and Missing lists the directories to be made, the outermost
	// first.
	Type    images.Type
	Missing []string
}

// notPersistent are places that belong to the running kernel, or to the format.
var notPersistent = []string{"/dev", "/proc", "/sys", "/run", images.Dir}

// PersistentPlaces returns the places of the manifest's persistent paths, sorted
// by path. It leaves out a place that, once links are followed, is the same as
// another or lies beneath it. It returns an error for a path that cannot be
// persistent.
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

// Holds reports whether a path without links is the place or lies beneath it.
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

// resolveMissing is [images.Resolve] for a path that need not exist. It also
// returns the parts of the path that are missing, the outermost first.
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
