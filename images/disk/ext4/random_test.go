package ext4_test

import (
	"math/rand/v2"

	"cloudlets/images/disk/ext4"
	"cloudlets/images/imagetest"
)

// randomTree makes a small tree and options, the same for the same seed.
func randomTree(seed uint64) (imagetest.Memory, ext4.Options) {
	r := rand.New(rand.NewPCG(seed, 4))
	return imagetest.Random(r), ext4.Options{
		Free: r.Int64N(1 + r.Int64N(400<<20)), MaxGrow: r.Int64N(1 << 40),
		JournalSize: r.Int64N(2) * (4<<20 + 4096*r.Int64N(3000)), InodeRatio: 4096 << r.IntN(8), Stale: r.IntN(3) == 0,
	}
}
