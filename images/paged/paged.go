// Package paged has lists that grow without ever copying what is in them, so
// that a list of millions never takes its memory twice.
package paged

// List is a list of elements that stay where they are. The zero value is an
// empty one.
type List[T any] struct {
	pages []*[pageLength]T
	n     int
}

const pageLength = 512

// Add appends an element and returns its place, which stays.
func (l *List[T]) Add(v T) *T {
	if l.n == len(l.pages)*pageLength {
		l.pages = append(l.pages, new([pageLength]T))
	}
	l.n++
	at := l.At(l.n - 1)
	*at = v
	return at
}

// At is the place of the element of a number, from 0 on, that is in the list.
func (l *List[T]) At(i int) *T {
	return &l.pages[i/pageLength][i%pageLength]
}

// Len is how many elements there are.
func (l *List[T]) Len() int { return l.n }
