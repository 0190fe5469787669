package filelist

import (
	"bytes"
	"context"
	"slices"

	"cloudlets/images"
)

// Paths calls yield with the path of each file that is not gone, sorted by
// bytes. It stops at the first error and returns it.
func (l *List) Paths(ctx context.Context, yield func(path string) error) error {
	if err := yield("/"); err != nil {
		return err
	}
	return l.pathsIn(ctx, 0, "/", yield)
}

// pathsIn calls yield with the path of each file in a directory, at whatever
// depth. above is the directory's path with a slash at its end.
//
// What is in "/a" begins with "/a/", so it comes after "/a-b" and before "/a0".
// So a directory is in the list twice: as itself, and with a slash as what is in
// it.
func (l *List) pathsIn(ctx context.Context, dir uint32, above string, yield func(string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, s := range l.steps(dir) {
		p := above + string(l.Name(s.file))
		var err error
		if s.inside {
			err = l.pathsIn(ctx, s.file, p+"/", yield)
		} else {
			err = yield(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// step is a file, or what is inside a directory.
type step struct {
	file   uint32
	inside bool
}

func (l *List) steps(dir uint32) []step {
	var steps []step
	for i := range l.Children(dir) {
		steps = append(steps, step{file: i})
		if f := l.File(i); l.Kind(f) == images.Directory && f.Value != 0 {
			steps = append(steps, step{i, true})
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return compareNames(l.Name(a.file), a.inside, l.Name(b.file), b.inside) })
	return steps
}

// compareNames compares two names, of which each may have a slash at its end.
func compareNames(a []byte, slashA bool, b []byte, slashB bool) int {
	n := min(len(a), len(b))
	if c := bytes.Compare(a[:n], b[:n]); c != 0 {
		return c
	}
	return bytes.Compare(ending(a[n:], slashA), ending(b[n:], slashB))
}

// ending is enough of the end of a name to compare it with one that ends where
// it begins.
func ending(rest []byte, slash bool) []byte {
	switch {
	case len(rest) > 0:
		return rest[:1]
	case slash:
		return []byte{'/'}
	}
	return nil
}
