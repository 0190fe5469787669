package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// How much the heap may grow between two collections, in a server and in verbs that
// keep data about every file of an image: by mostGrowth, but by at most collectRoom, and
// in any case by leastGrowth. More frequent collections cost little, since most
// of the heap is packed lists without pointers.
const (
	collectRoom = 16 << 20 // bytes
	mostGrowth  = 50       // percent
	leastGrowth = 20       // percent
)

// saveMemory saves much memory at the cost of a little time, until the program
// ends.
func saveMemory() {
	debug.SetGCPercent(mostGrowth)
	afterCollections(func() { debug.SetGCPercent(growthOf(liveHeap())) })
}

// boundMemory has the heap of a server grow by at most half between two
// collections, which saves much memory while a hall is switched on, and costs a little
// time. Whoever sets GOGC decides otherwise.
func boundMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(mostGrowth)
	}
}

// growthOf returns by how many percent a heap with so many live bytes may grow.
func growthOf(live uint64) int {
	return int(min(max(collectRoom*100/max(live, 1), leastGrowth), mostGrowth))
}

// liveHeap returns how many bytes were live at the latest collection.
func liveHeap() uint64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return live[0].Value.Uint64()
}

// afterCollections calls f after every collection: each time it makes a value
// that nothing refers to, whose finalizer the next collection runs.
func afterCollections(f func()) {
	runtime.SetFinalizer(new([1 << 10]byte), func(*[1 << 10]byte) {
		f()
		afterCollections(f)
	})
}
