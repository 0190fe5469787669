package store

import (
	"time"

	"go.etcd.io/bbolt"

	"cloudlets/images/footprint"
)

const (
	// releaseEvery is how often a store gives back the pages that it has in memory, while
	// it is written to. To map them again takes some microseconds for each 64 KiB.
	releaseEvery = time.Second
	// keptSize is how long a file may be in bytes without that.
	keptSize = 16 << 20
)

// release gives back the pages of a large file that this process has mapped. They stay
// in the kernel's cache as long as there is room, and count as this process's memory
// no more. The caller holds committing.
func (s *File) release() {
	now := time.Now()
	if now.Sub(s.released) < releaseEvery {
		return
	}
	s.released = now
	_ = s.db.View(func(tx *bbolt.Tx) error { // in which the file stays where it is mapped
		if size := tx.Size(); size > keptSize {
			footprint.ReleaseMapping(s.db.Info().Data, uintptr(size))
		}
		return nil
	})
}
