package images

import (
	"context"
	"io"
	"slices"
)

// Paths calls yield with the path of each entry of src, sorted by bytes. It
// stops at the first error, whether its own or one that yield returned, and
// returns it. A source that can list its paths more cheaply than by a walk has
// the method
//
//	Paths(ctx context.Context, yield func(path string) error) error
func Paths(ctx context.Context, src Source, yield func(path string) error) error {
	type lister interface {
		Paths(ctx context.Context, yield func(path string) error) error
	}
	if l, ok := src.(lister); ok {
		return l.Paths(ctx, yield)
	}
	var all []string
	err := src.Walk(ctx, func(e Entry, _ io.Reader) error {
		all = append(all, e.Path)
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(all)
	for _, p := range all {
		if err := yield(p); err != nil {
			return err
		}
	}
	return nil
}

// ComparePaths orders clean absolute paths as a walk in the canonical order of
// [Ordered] meets them: a directory, then all that is beneath it, then what
// comes after it by the bytes of its name. That is the order of the paths'
// bytes with "/" before all others.
func ComparePaths(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		switch x, y := a[i], b[i]; {
		case x == y:
		case x == '/':
			return -1
		case y == '/':
			return 1
		default:
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}
