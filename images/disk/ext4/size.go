package ext4

const (
	minJournal = 1024 // in blocks: the kernel refuses a smaller one
	maxJournal = 1 << 20
	// spareInodes is the least number of inodes for new files.
	spareInodes = 64
	// mostInodes is a limit that leaves room to round up to whole blocks in every
	// group.
	mostInodes = 1<<32 - 1<<25
)

// inodesFor returns the number of inodes for a filesystem of a given length.
func (l *Layout) inodesFor(blocks int64) int64 {
	ratio := l.opts.InodeRatio
	if ratio == 0 {
		ratio = inodeRatio(blocks * blockSize)
	}
	last := l.tree.last()
	return max(min(blocks*blockSize/ratio, mostInodes), last+spareInodes+last/32)
}

// inodeRatio returns the ratio that mke2fs uses. It assumes that large filesystems
// hold large files.
func inodeRatio(size int64) int64 {
	switch {
	case size < 4<<40:
		return 16 << 10
	case size < 16<<40:
		return 32 << 10
	default:
		return 64 << 10
	}
}

// journalFor returns the length of the journal in blocks.
func (l *Layout) journalFor(blocks int64) int64 {
	switch {
	case l.opts.JournalSize < 0:
		return 0
	case l.opts.JournalSize > 0:
		return l.opts.JournalSize / blockSize
	case blocks < 2*minJournal && l.opts.Size > 0:
		return 0
	case blocks < 32<<10: // 128 MiB
		return minJournal
	case blocks < 256<<10: // 1 GiB
		return 4 * minJournal
	case blocks < 512<<10: // 2 GiB
		return 8 * minJournal
	default:
		return 16 * minJournal
	}
}
