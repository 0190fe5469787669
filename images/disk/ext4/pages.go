package ext4

// pages is a list that grows without ever copying what it has, so that its
// memory never doubles.
type pages[T any] struct {
	list []*[pageLength]T
	n    int
}

const pageLength = 512

// add appends an element and returns its place, which stays.
func (p *pages[T]) add(v T) *T {
	if p.n == len(p.list)*pageLength {
		p.list = append(p.list, new([pageLength]T))
	}
	p.n++
	at := p.at(p.n - 1)
	*at = v
	return at
}

func (p *pages[T]) at(i int) *T {
	return &p.list[i/pageLength][i%pageLength]
}
