package vdisk

import (
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// encoder compresses src and appends the result to dst. It must not be used by several
// goroutines at a time.
type encoder func(dst, src []byte) ([]byte, error)

// press compresses the cells of a batch independently of each other on several cores.
// No goroutine outlives a call, and the results do not depend on the number of cores.
type press struct {
	encoders []encoder // one for each worker
	results  [][]byte  // buffers, reused by the next call
}

// workers returns the number of cores that compress.
func (o Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

func newPress(workers int, open func() (encoder, error)) (*press, error) {
	p := &press{encoders: make([]encoder, workers)}
	for i := range p.encoders {
		var err error
		if p.encoders[i], err = open(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// all returns the batch's compressed cells in order. They are valid until the next call.
func (p *press) all(b batch) ([][]byte, error) {
	for len(p.results) < len(b.offs) {
		p.results = append(p.results, nil)
	}
	var taken atomic.Int64
	var group errgroup.Group
	for _, encode := range p.encoders {
		group.Go(func() error {
			for {
				i := int(taken.Add(1)) - 1
				if i >= len(b.offs) {
					return nil
				}
				var err error
				if p.results[i], err = encode(p.results[i][:0], b.at(i)); err != nil {
					return err
				}
			}
		})
	}
	err := group.Wait()
	return p.results[:len(b.offs)], err
}
