package trees

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/metadata"
)

// View shows a tree with the metadata of its metadata file. See [Wrap].
type View struct {
	tree    images.Tree
	file    metadata.File
	missing map[string]images.Entry // entries that only the metadata file has, by path
	inside  map[string][]string     // the paths of missing entries, by directory
	links   func() map[string]string
	maker   maker
}

var (
	_ images.Source = (*View)(nil)
	_ images.Tree   = (*View)(nil)
)

// Wrap returns a view of a tree with the metadata of f: with the owners, modes,
// attributes, empty directories, devices, FIFOs and hard links that the tree
// itself lacks. The view omits bookkeeping. Use it for the files of a revision,
// and for a directory that an ordinary user checked out or unpacked. In that
// case the root belongs to that user, and the view respects what the user has
// changed since.
//
// If a tree can compare two of its files without reading them completely, it
// has the method
//
//	Same(path, other string) (bool, error)
func Wrap(tree images.Tree, f metadata.File) *View {
	v := &View{tree: tree, file: f, missing: map[string]images.Entry{}, inside: map[string][]string{}}
	v.links = sync.OnceValue(v.findLinks)
	root, err := tree.Entry("/")
	if _, dir := tree.(*dirtree.Dir); err == nil && (root.UID != 0 || dir && allLimited) {
		v.maker = maker{limited: true, uid: root.UID}
	}
	records := f.Records()
	for i := range records {
		v.addMissing(&records[i], root.ModTime)
	}
	for i := range records {
		v.addNodeLink(&records[i])
	}
	return v
}

// addMissing adds a directory or a node that the tree does not have, and the
// directories that lead to it.
func (v *View) addMissing(r *metadata.Record, at time.Time) {
	if r.Type != images.Directory && !metadata.IsNode(r.Type) || !v.absent(r.Path) {
		return
	}
	e := r.Entry()
	e.ModTime = at
	if !v.leadTo(r.Path, at) {
		return
	}
	if _, ok := v.missing[r.Path]; !ok {
		v.inside[parent(r.Path)] = append(v.inside[parent(r.Path)], r.Path)
	}
	v.missing[r.Path] = e
}

func (v *View) absent(p string) bool {
	_, err := v.tree.Entry(p)
	return errors.Is(err, fs.ErrNotExist)
}

// leadTo adds the directories above a path. It reports whether the path can
// exist: it cannot if the tree has a file where a directory would be.
func (v *View) leadTo(p string, at time.Time) bool {
	up := parent(p)
	if e, err := v.tree.Entry(up); err == nil {
		return e.Type == images.Directory
	}
	if e, ok := v.missing[up]; ok {
		return e.Type == images.Directory
	}
	if !v.leadTo(up, at) {
		return false
	}
	e := images.Entry{Path: up, Type: images.Directory, ModTime: at}
	rec, _ := v.file.Lookup(up)
	rec.Put(&e)
	v.missing[up] = e
	v.inside[parent(up)] = append(v.inside[parent(up)], up)
	return true
}

// addNodeLink adds another name of a node that the tree does not have.
func (v *View) addNodeLink(r *metadata.Record) {
	target, ok := v.missing[r.Link]
	if r.Type != images.HardLink || !ok || !metadata.IsNode(target.Type) || !v.absent(r.Path) || !v.leadTo(r.Path, target.ModTime) {
		return
	}
	target.Path = r.Path
	v.missing[r.Path] = target
	v.inside[parent(r.Path)] = append(v.inside[parent(r.Path)], r.Path)
}

// Entry describes the file at a path. Like [dirtree.Dir], it shows each name of
// a hard link as the file itself.
func (v *View) Entry(p string) (images.Entry, error) {
	if images.IsBookkeeping(p) {
		return images.Entry{}, fmt.Errorf("look at %s: it is not part of the image: %w", p, fs.ErrNotExist)
	}
	if e, ok := v.missing[p]; ok {
		return e, nil
	}
	e, err := v.tree.Entry(p)
	if err != nil {
		return images.Entry{}, err
	}
	v.correct(&e)
	return e, nil
}

// correct sets the metadata of an entry of the tree to those of the file.
func (v *View) correct(e *images.Entry) {
	rec, ok := v.file.Lookup(e.Path)
	if rec.Type == images.HardLink {
		rec, ok = v.file.Lookup(rec.Link)
	}
	if v.maker.limited {
		v.maker.correct(e, rec, ok)
		return
	}
	rec.Put(e)
}

// ReadDir lists a directory, sorted by name.
func (v *View) ReadDir(p string) ([]images.Entry, error) {
	var entries []images.Entry
	if _, made := v.missing[p]; !made {
		var err error
		if entries, err = v.tree.ReadDir(p); err != nil {
			return nil, err
		}
	}
	entries = slices.DeleteFunc(slices.Clone(entries), func(e images.Entry) bool { return images.IsBookkeeping(e.Path) })
	for i := range entries {
		v.correct(&entries[i])
	}
	for _, name := range v.inside[p] {
		entries = append(entries, v.missing[name])
	}
	slices.SortFunc(entries, func(a, b images.Entry) int { return cmp.Compare(a.Path, b.Path) })
	return entries, nil
}

// Open reads the regular file at a path.
func (v *View) Open(p string) (io.ReadCloser, error) {
	if _, err := v.Entry(p); err != nil {
		return nil, err
	}
	return v.tree.Open(p)
}

// Walk visits all files, names sorted by their bytes.
func (v *View) Walk(ctx context.Context, visit images.VisitFunc) error {
	root, err := v.Entry("/")
	if err != nil {
		return err
	}
	w := viewWalk{View: v, visit: visit, first: map[string]string{}}
	return w.directory(ctx, root)
}

// viewWalk is one walk over a view.
type viewWalk struct {
	*View
	visit images.VisitFunc
	first map[string]string // the first name in the walk of each file with several names
}

func (w *viewWalk) directory(ctx context.Context, e images.Entry) error {
	if err := w.visit(e, nil); err != nil {
		return err
	}
	entries, err := w.ReadDir(e.Path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.one(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *viewWalk) one(ctx context.Context, e images.Entry) error {
	if e.Type == images.Directory {
		return w.directory(ctx, e)
	}
	// The first name in the walk becomes the file, even if the record links the
	// other way round.
	if group, ok := w.links()[e.Path]; ok {
		if first, ok := w.first[group]; ok {
			e.Type, e.Link, e.Size, e.Xattrs, e.Major, e.Minor = images.HardLink, first, 0, nil, 0, 0
			return w.visit(e, nil)
		}
		w.first[group] = e.Path
	}
	return w.content(e)
}

func (w *viewWalk) content(e images.Entry) error {
	if e.Type != images.Regular {
		return w.visit(e, nil)
	}
	r, err := w.tree.Open(e.Path)
	if err != nil {
		return err
	}
	return errors.Join(w.visit(e, r), r.Close())
}

// findLinks returns the names that are recorded as hard links and have the same
// contents. It maps each of them to the name that is the target of the record.
func (v *View) findLinks() map[string]string {
	links := map[string]string{}
	for _, r := range v.file.Records() {
		if r.Type != images.HardLink {
			continue
		}
		if same, err := v.same(r.Path, r.Link); err == nil && same {
			links[r.Path], links[r.Link] = r.Link, r.Link
		}
	}
	return links
}

// same reports whether two names can belong to one file. If a file cannot be
// read, it is not the same; the walk will report the reason.
func (v *View) same(p, q string) (bool, error) {
	a, err := v.Entry(p)
	if err != nil {
		return false, err
	}
	b, err := v.Entry(q)
	if err != nil || a.Type != b.Type || a.Size != b.Size || a.Link != b.Link || a.Major != b.Major || a.Minor != b.Minor {
		return false, err
	}
	if a.Type != images.Regular {
		return a.Type != images.Directory, nil
	}
	if c, ok := v.tree.(interface {
		Same(p, q string) (bool, error)
	}); ok {
		return c.Same(p, q)
	}
	return v.sameContent(p, q)
}

func (v *View) sameContent(p, q string) (bool, error) {
	a, err := v.tree.Open(p)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := v.tree.Open(q)
	if err != nil {
		return false, err
	}
	defer b.Close()
	return equalReaders(a, b)
}

// equalReaders reports whether two streams have the same content.
func equalReaders(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(a, x)
		m, merr := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		switch ended := isEnd(err); {
		case err != nil && !ended:
			return false, err
		case merr != nil && !isEnd(merr):
			return false, merr
		case ended:
			return true, nil
		}
	}
}

func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Fingerprint identifies the content of the view, if the tree has a
// fingerprint.
func (v *View) Fingerprint(ctx context.Context) (string, error) {
	tree, ok := v.tree.(interface {
		Fingerprint(ctx context.Context) (string, error)
	})
	if !ok {
		return "", errors.New("the tree behind the metadata has no fingerprint")
	}
	under, err := tree.Fingerprint(ctx)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	if _, err := v.file.WriteTo(&text); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(under + "\n" + text.String()))
	return hex.EncodeToString(sum[:]), nil
}

// Close closes the tree, if it can be closed.
func (v *View) Close() error {
	if c, ok := v.tree.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
