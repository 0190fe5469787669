// Package press compresses the cells of a disk on several cores, each cell independently
// of the others, so that the result does not depend on the number of cores.
package press

import (
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Encoder compresses src and appends the result to dst. It must not be used by several
// goroutines at a time.
type Encoder func(dst, src []byte) ([]byte, error)

// A Press compresses the cells of a batch independently of each other on several cores.
// No goroutine outlives a call, and the results do not depend on the number of cores.
type Press struct {
	encoders []Encoder // one for each worker
	results  [][]byte  // buffers, reused by the next call
}

// New returns a press with one Encoder for each worker.
func New(workers int, open func() (Encoder, error)) (*Press, error) {
	p := &Press{encoders: make([]Encoder, workers)}
	for i := range p.encoders {
		var err error
		if p.encoders[i], err = open(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// All returns n compressed cells in order. The function at returns the i-th cell. The
// result is valid until the next call.
func (p *Press) All(n int, at func(i int) []byte) ([][]byte, error) {
	for len(p.results) < n {
		p.results = append(p.results, nil)
	}
	var taken atomic.Int64
	var group errgroup.Group
	for _, encode := range p.encoders {
		group.Go(func() error {
			for {
				i := int(taken.Add(1)) - 1
				if i >= n {
					return nil
				}
				var err error
				if p.results[i], err = encode(p.results[i][:0], at(i)); err != nil {
					return err
				}
			}
		})
	}
	err := group.Wait()
	return p.results[:n], err
}
