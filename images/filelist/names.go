package filelist

import "hash/maphash"

// nameTable finds files by directory and name. It is a hash table of their
// numbers with open addressing; the list has what the numbers stand for.
type nameTable struct {
	seed  maphash.Seed
	slots []uint32 // 0 is free; the length is a power of 2
	used  int
}

// firstNames is how long the table is at first.
const firstNames = 1 << 10

func newNameTable() nameTable {
	return nameTable{seed: maphash.MakeSeed(), slots: make([]uint32, firstNames)}
}

// slot is the place of a file's number, or a free place if there is no such file.
func (t *nameTable) slot(x *List, dir uint32, name string) *uint32 {
	for at := t.start(dir, maphash.String(t.seed, name)); ; at = t.after(at) {
		if i := t.slots[at]; i == 0 || x.File(i).Dir == dir && string(x.texts.At(x.File(i).name)) == name {
			return &t.slots[at]
		}
	}
}

// start is the first place to look at.
func (t *nameTable) start(dir uint32, sum uint64) uint64 {
	const mix = 0x9e3779b97f4a7c15 // Fibonacci hashing
	return (sum ^ (uint64(dir)+1)*mix) * mix >> 32 & uint64(len(t.slots)-1)
}

func (t *nameTable) after(at uint64) uint64 { return (at + 1) & uint64(len(t.slots)-1) }

// reserve makes room for one more file, so that a slot stays where it is until
// it is used.
func (t *nameTable) reserve(x *List) {
	if t.used == len(t.slots)/4*3 {
		t.grow(x)
	}
}

// put uses the first free slot.
func (t *nameTable) put(x *List, i uint32) {
	f := x.File(i)
	at := t.start(f.Dir, maphash.Bytes(t.seed, x.texts.At(f.name)))
	for t.slots[at] != 0 {
		at = t.after(at)
	}
	t.slots[at] = i
}

// grow makes the table twice as long.
func (t *nameTable) grow(x *List) {
	old := t.slots
	t.slots = make([]uint32, 2*len(old))
	for _, i := range old {
		if i != 0 {
			t.put(x, i)
		}
	}
}
