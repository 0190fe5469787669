package vdisk

import "io"

// blocks lays a disk's blocks into a file one behind the other, in the order
// in which content for them comes. A block is larger than a cell: cells of it
// that are zeros are left out of the file as holes.
type blocks struct {
	file io.WriterAt
	size int64 // of a block
	lead int64 // bytes in front of a block's content
	next int64 // where the next block goes
	// opened notes that the disk's block index is in the file at at.
	opened func(index, at int64) error

	any     bool
	index   int64 // the block that is being written, if any is
	content int64 // where its content begins
}

func (b *blocks) put(c batch) error {
	for run := range c.runs(b.size) {
		index, inner := run.offs[0]/b.size, run.offs[0]%b.size
		if !b.any || index != b.index {
			if err := b.open(index); err != nil {
				return err
			}
		}
		if _, err := b.file.WriteAt(run.data, b.content+inner); err != nil {
			return err
		}
	}
	return nil
}

func (b *blocks) open(index int64) error {
	at := b.next
	b.any, b.index, b.content = true, index, at+b.lead
	b.next += b.lead + b.size
	return b.opened(index, at)
}
