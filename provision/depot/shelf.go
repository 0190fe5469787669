package depot

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"cloudlets/images/pack"
)

// keptOpen is how many packs stay open although nobody reads them. Each plan of an
// install reads a few templates of its image's pack, and reading the table of
// contents of a large image takes far longer than that.
const keptOpen = 4

// shelf has the packs that are open. The zero value keeps none open that nobody
// reads.
type shelf struct {
	mu    sync.Mutex
	keeps bool
	packs map[string]*openPack // by digest
}

// openPack is a pack that several may read.
type openPack struct {
	// load opens it once, for all who wait for that.
	load    func() (*pack.Pack, *os.File, error)
	readers int
	used    time.Time // when the last of them ended
}

// take opens a pack, unless it is open. The caller must call done.
func (s *shelf) take(f File, path string) (p *pack.Pack, done func(), err error) {
	s.mu.Lock()
	o := s.packs[f.Digest]
	if o == nil {
		if s.packs == nil {
			s.packs = make(map[string]*openPack)
		}
		o = &openPack{load: onceBoth(func() (*pack.Pack, *os.File, error) { return openFile(f, path) })}
		s.packs[f.Digest] = o
	}
	o.readers++
	s.mu.Unlock()
	p, _, err = o.load()
	done = sync.OnceFunc(func() { s.release(f.Digest, o, err != nil) })
	if err != nil {
		done()
		return nil, nil, err
	}
	return p, done, nil
}

// release notes that a reader has ended. A pack that could not be opened is tried
// anew by the next one.
func (s *shelf) release(digest string, o *openPack, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.readers--
	o.used = time.Now()
	if failed && s.packs[digest] == o {
		delete(s.packs, digest)
	}
	s.clear()
}

// keep says whether packs stay open that nobody reads.
func (s *shelf) keep(keeps bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keeps = keeps
	s.clear()
}

// clear closes the packs that nobody reads, but for those that stay open. The
// caller holds mu.
func (s *shelf) clear() {
	most := 0
	if s.keeps {
		most = keptOpen
	}
	for {
		idle, oldest := 0, ""
		for digest, o := range s.packs {
			if o.readers > 0 {
				continue
			}
			if idle++; oldest == "" || o.used.Before(s.packs[oldest].used) {
				oldest = digest
			}
		}
		if idle <= most {
			return
		}
		_, file, _ := s.packs[oldest].load()
		file.Close() // it was only read
		delete(s.packs, oldest)
	}
}

func openFile(f File, path string) (*pack.Pack, *os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open pack: %w", err)
	}
	p, err := pack.Open(file, f.Size)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open pack %s: %w", f.Digest, err), file.Close())
	}
	return p, file, nil
}

// onceBoth is [sync.OnceValues] for a function with two values and an error.
func onceBoth(open func() (*pack.Pack, *os.File, error)) func() (*pack.Pack, *os.File, error) {
	type opened struct {
		pack *pack.Pack
		file *os.File
	}
	once := sync.OnceValues(func() (opened, error) {
		p, f, err := open()
		return opened{p, f}, err
	})
	return func() (*pack.Pack, *os.File, error) {
		o, err := once()
		return o.pack, o.file, err
	}
}
