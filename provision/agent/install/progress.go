package install

import (
	"sync"
	"time"

	"cloudlets/provision"
)

// How often progress is reported, and the time over which its rate is measured.
const (
	progressEvery = time.Second
	rateWindow    = 5 * time.Second
)

// meter turns the byte counts of a stage into progress, with the rate of the
// last few seconds.
type meter struct {
	mu      sync.Mutex
	told    time.Time
	samples []sample
}

type sample struct {
	at   time.Time
	done int64
}

// progress returns a function that takes the byte counts of one stage and
// reports them.
func (i *installer) progress() func(done, total int64) {
	m := &meter{}
	return func(done, total int64) {
		if p, due := m.add(time.Now(), done, total); due {
			i.tell(provision.Event{Kind: provision.KindProgress, Progress: &p})
		}
	}
}

// add takes a count. It returns the progress, and true if it is time to report
// it.
func (m *meter) add(now time.Time, done, total int64) (provision.Progress, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.told) < progressEvery && done < total {
		return provision.Progress{}, false
	}
	m.told = now
	m.samples = append(m.samples, sample{now, done})
	for len(m.samples) > 2 && now.Sub(m.samples[0].at) > rateWindow {
		m.samples = m.samples[1:]
	}
	return provision.Progress{Done: done, Total: total, Rate: m.rate()}, true
}

func (m *meter) rate() int64 {
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return int64(float64(last.done-first.done) / seconds)
}
