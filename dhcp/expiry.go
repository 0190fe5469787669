package dhcp

// expiry orders entries by the time that they end, the earliest first. It is
// a heap for container/heap.
type expiry []*entry

func (q expiry) Len() int           { return len(q) }
func (q expiry) Less(i, j int) bool { return q[i].until.Before(q[j].until) }

func (q expiry) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push adds an *entry at the end.
func (q *expiry) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

// Pop removes the last entry.
func (q *expiry) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
