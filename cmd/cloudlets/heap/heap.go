// Package heap says by how much the heap of a verb may grow.
package heap

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"

	"cloudlets/images/footprint"
)

// growth says by how much the heap may grow between two collections: by room bytes, but
// by not less than least and not more than most percent.
type growth struct {
	room        uint64
	least, most int
	// total is how many bytes all of the process's memory but mapped files may take before
	// collections are more frequent. The heap may grow by leastRoom percent even so. 0 is no
	// bound.
	total uint64
}

var (
	// verbGrowth is that of other verbs. Most of them end before a collection is worth
	// its time.
	verbGrowth = growth{room: 16 << 20, least: 100, most: 400}
	// listGrowth is that of verbs that keep data about every file of an image. Frequent
	// collections cost them little, since most of their heap is packed lists
	// without pointers.
	listGrowth = growth{room: 16 << 20, least: 20, most: 50}
	// serverGrowth is that of a server. While a hall is switched on its heap is large,
	// and grows by 40 percent. When it is small, it may become a few times as large: if it
	// were collected as soon as it has grown by half, an answer to a DHCP packet
	// would cost a third more.
	serverGrowth = growth{room: 64 << 20, least: 40, most: 800, total: 400 << 20}
)

// Begin bounds the heap of a verb that calls neither [Save] nor [Bound].
func Begin() { verbGrowth.govern() }

// Save saves much memory at the cost of a little time, until the program
// ends.
func Save() {
	footprint.ReleaseProgram()
	listGrowth.govern()
}

// Bound bounds the memory of a server.
func Bound() { serverGrowth.govern() }

// governing is the growth in force. It is nil until the first is set.
var governing atomic.Pointer[growth]

// govern sets the growth after each collection from now on. Whoever sets GOGC or
// GOMEMLIMIT decides otherwise.
func (g growth) govern() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	first := governing.Swap(&g) == nil
	g.apply()
	if first {
		afterCollections(func() { governing.Load().apply() })
	}
}

func (g growth) apply() {
	live, other := memory()
	debug.SetGCPercent(g.percent(live))
	debug.SetMemoryLimit(g.limit(live, other))
}

// leastRoom is by how many percent the heap may grow at least. With less, collections
// would follow one another while a hall is switched on.
const leastRoom = 20

// limit returns how many bytes of memory the process may take, of which so many are live
// on the heap, and so many are not for the heap's values.
func (g growth) limit(live, other uint64) int64 {
	if g.total == 0 {
		return math.MaxInt64
	}
	return int64(max(g.total, live+live/100*leastRoom+other))
}

// percent returns by how many percent a heap with so many live bytes may grow.
func (g growth) percent(live uint64) int {
	return min(max(int(g.room*100/max(live, 1<<20)), g.least), g.most)
}

// memory returns how many bytes were live on the heap at the latest collection, and how
// many the process has for anything else, such as stacks.
func memory() (live, other uint64) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	other = samples[1].Value.Uint64()
	for _, heap := range samples[2:] {
		other -= min(other, heap.Value.Uint64())
	}
	return samples[0].Value.Uint64(), other
}

// afterCollections calls f after every collection: each time it makes a value
// that nothing refers to, whose finalizer the next collection runs.
func afterCollections(f func()) {
	runtime.SetFinalizer(new([1 << 10]byte), func(*[1 << 10]byte) {
		f()
		afterCollections(f)
	})
}
