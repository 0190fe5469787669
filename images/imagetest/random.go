package imagetest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"cloudlets/images"
)

// Random makes a small random tree. The same random numbers give the same tree.
func Random(r *rand.Rand) Memory {
	var m Memory
	m.Dir("/")
	dirs, files := []string{"/"}, []string{}
	for i := range r.IntN(1500) + 1 {
		p := path.Join(dirs[r.IntN(len(dirs))], fmt.Sprintf("%d%s", i, strings.Repeat("n", r.IntN(1+r.IntN(240)))))
		var e *images.Entry
		switch kind := r.IntN(20); {
		case kind < 3:
			e = m.Dir(p)
			dirs = append(dirs, p)
		case kind == 3 && len(files) > 0:
			m.Link(p, files[r.IntN(len(files))])
			continue
		case kind < 6:
			e = m.Symlink(p, strings.Repeat("t", 1+r.IntN(200)))
		case kind == 6:
			e = m.Add(images.Entry{Path: p, Type: images.CharDevice, Major: r.Uint32N(4096), Minor: r.Uint32N(1 << 20)})
		default:
			e = randomFile(r, &m, p)
			files = append(files, p)
		}
		randomise(r, e)
	}
	return m
}

func randomFile(r *rand.Rand, m *Memory, p string) *images.Entry {
	size := r.Int64N(1 + r.Int64N(1+r.Int64N(300<<10)))
	if r.IntN(50) == 0 {
		size += 3 << 20
	}
	seed, ones := r.Uint64(), r.IntN(3)
	return m.Reader(p, size, func() io.Reader {
		if ones == 0 {
			return Ones(size, size/3, size/2)
		}
		return io.LimitReader(rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}), size)
	})
}

func randomise(r *rand.Rand, e *images.Entry) {
	if e.Type != images.Symlink {
		e.Mode = r.Uint32N(0o10000)
	}
	e.UID, e.GID = r.Uint32N(1<<(1+r.Uint32N(31))), r.Uint32N(70_000)
	e.ModTime = time.Unix(r.Int64N(3<<32)-1<<31, r.Int64N(1e9)).UTC()
	for range r.IntN(1 + r.IntN(4)) {
		if e.Xattrs == nil {
			e.Xattrs = map[string]string{}
		}
		e.Xattrs["trusted."+strings.Repeat("a", 1+r.IntN(100))] = strings.Repeat("\x01", r.IntN(700))
	}
}
