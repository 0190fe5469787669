package vdisk

import "io"

// blocks appends a disk's blocks to a file in the order in which content for them
// arrives. A block is larger than a cell. Its cells that are zeros become holes in the
// file.
type blocks struct {
	file io.WriterAt
	size int64 // of a block
	lead int64 // bytes before a block's content in the file
	next int64 // offset in the file of the next block
	// opened is called when the block with the given index on the disk gets its
	// place at offset at of the file.
	opened func(index, at int64) error

	any     bool
	index   int64 // the block that is being written, if any
	content int64 // offset of its content in the file
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
