//go:build linux

package pack

import "sync"

// maxReported is how many differing files are named.
const maxReported = 5

// tally gathers what Verify's workers find.
type tally struct {
	mu    sync.Mutex
	done  int64
	bad   int
	found []string // the first few of the bad
}

func (t *tally) differs(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bad++
	if len(t.found) < maxReported {
		t.found = append(t.found, what)
	}
}

func (t *tally) passed(opt VerifyOptions, size, total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done += size
	if opt.Progress != nil && size > 0 {
		opt.Progress(t.done, total)
	}
}
