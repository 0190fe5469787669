package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// How much the heap may grow between two collections, where something of
// each file of an image is kept: by half while that is no more than
// collectRoom, then by collectRoom, but no less than leastGrowth allows. A
// large heap is collected quickly, too, as it is mostly packed lists without
// pointers.
const (
	collectRoom = 16 << 20 // bytes
	mostGrowth  = 50       // percent
	leastGrowth = 20       // percent
)

// saveMemory trades a little time for much of the memory, until the program
// ends.
func saveMemory() {
	debug.SetGCPercent(mostGrowth)
	afterCollections(func() { debug.SetGCPercent(growthOf(liveHeap())) })
}

// growthOf is by how many percent a heap of so many bytes may grow.
func growthOf(live uint64) int {
	return int(min(max(collectRoom*100/max(live, 1), leastGrowth), mostGrowth))
}

// liveHeap is what the latest collection left, in bytes.
func liveHeap() uint64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return live[0].Value.Uint64()
}

// afterCollections calls f after every collection, which finds a value that
// nothing holds.
func afterCollections(f func()) {
	runtime.SetFinalizer(new([1 << 10]byte), func(*[1 << 10]byte) {
		f()
		afterCollections(f)
	})
}
