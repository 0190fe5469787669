//go:build linux

package pack

import "sync"

// maxReported is the maximum number of differing files that an error names.
const maxReported = 5

// tally collects the findings of Verify's workers.
type tally struct {
	mu    sync.Mutex
	done  int64
	bad   int
	found []string // the first few that differ
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
