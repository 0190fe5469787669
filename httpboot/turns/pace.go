package turns

import (
	"sync"
	"time"
)

// Pace lets so many things happen in a second, and no more. The zero value is ready for
// use.
type Pace struct {
	mu     sync.Mutex
	second int64
	taken  int
}

// Take says whether one more may happen now.
func (p *Pace) Take(now time.Time, most int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if second := now.Unix(); second != p.second {
		p.second, p.taken = second, 0
	}
	p.taken++
	return p.taken <= most
}
