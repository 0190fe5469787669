// Package heap says by how much the heap of a verb may grow.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// growth says by how much the heap may grow between two collections: by room bytes, but
// by not less than least and not more than most percent.
type growth struct {
	room        uint64
	least, most int
}

var (
	// listGrowth is that of verbs that keep data about every file of an image. Frequent
	// collections cost them little, since most of their heap is packed lists
	// without pointers.
	listGrowth = growth{room: 16 << 20, least: 20, most: 50}
	// serverGrowth is that of a server. While a hall is switched on its heap is large,
	// and grows by 40 percent. When it is small, it may become a few times as large: if it
	// were collected as soon as it has grown by half, an answer to a DHCP packet
	// would cost a third more.
	serverGrowth = growth{room: 64 << 20, least: 40, most: 800}
)

// Save saves much memory at the cost of a little time, until the program
// ends.
func Save() { listGrowth.govern() }

// Bound bounds the memory of a server. Whoever sets GOGC decides otherwise.
func Bound() {
	if os.Getenv("GOGC") == "" {
		serverGrowth.govern()
	}
}

// govern sets the growth after each collection.
func (g growth) govern() {
	debug.SetGCPercent(g.percent(liveHeap()))
	afterCollections(func() { debug.SetGCPercent(g.percent(liveHeap())) })
}

// percent returns by how many percent a heap with so many live bytes may grow.
func (g growth) percent(live uint64) int {
	return min(max(int(g.room*100/max(live, 1<<20)), g.least), g.most)
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
