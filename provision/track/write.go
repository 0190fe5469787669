package track

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/store"
)

// write is one transaction: waiting events of some machines, and machines that
// are forgotten.
type write struct {
	tracker   *Tracker
	at        time.Time
	macs      []provision.MAC
	waiting   map[provision.MAC][]waiting
	forgotten []provision.MAC
	// over are machines that now have more events than are kept.
	over []provision.MAC
}

// Bounds of one write in a store that has limits. They leave room for what is not
// counted exactly.
const (
	// forgetWrites is how many keys a stranger may have.
	forgetWrites = strangerHistory + strangerSlack + maxBrief + 1
	maxBrief     = 20
	recordBytes  = 8192 // of a record without its facts
	// proposalBytes is about what the largest proposal has as JSON.
	proposalBytes = 12 << 10
	alsoBytes     = 16 << 10 // of what belongs to an event
	// maxMachines is how many machines' events are in one write. Others' leases and
	// claims go into the same write or wait for it, so none may take long.
	maxMachines = 32
)

// nextWrite takes what waits of the machines, up to the store's limits, and
// returns the machines that it has no room for. The caller holds mu.
func (t *Tracker) nextWrite(l *lane, macs []provision.MAC) (w write, rest []provision.MAC) {
	w = write{tracker: t, at: t.clock(), waiting: make(map[provision.MAC][]waiting)}
	limits := t.store.Limits()
	reads, writes, size := limits.Reads/2, limits.Writes/2, limits.Bytes/2
	for mac := range l.forgotten {
		if reads < 3 || writes < forgetWrites {
			break
		}
		reads, writes = reads-3, writes-forgetWrites
		w.forgotten = append(w.forgotten, mac)
		delete(l.forgotten, mac)
	}
	for i, mac := range macs {
		m, known := t.machines[mac]
		if !known || len(m.waiting) == 0 {
			continue
		}
		reads, writes, size = reads-1, writes-1, size-recordBytes-factBytes(m.state.Facts)
		n := 0
		for n < len(m.waiting) && writes > 1 && size > 0 {
			writes, size = writes-2, size-eventBytes(m.waiting[n].Event)
			if m.waiting[n].also != nil {
				size -= alsoBytes
			}
			n++
		}
		if reads < 0 || n == 0 && len(w.macs) > 0 || len(w.macs) == maxMachines {
			return w, macs[i:]
		}
		n = max(n, 1)
		w.macs = append(w.macs, mac)
		w.waiting[mac] = slices.Clone(m.waiting[:n])
		if n < len(m.waiting) {
			return w, macs[i:]
		}
		if m.stranger && t.known(mac) { // its file was written after it was first seen
			m.stranger = false
			t.strangers--
		}
	}
	return w, nil
}

func (w *write) empty() bool { return len(w.macs) == 0 && len(w.forgotten) == 0 }

func (w *write) events() (n int) {
	for _, events := range w.waiting {
		n += len(events)
	}
	return n
}

func factBytes(facts map[string]string) (n int) {
	for name, value := range facts {
		n += len(name) + len(value) + 8
	}
	return n
}

func eventBytes(e provision.Event) int {
	n := 300 + len(e.Text) + len(e.Reason) + len(e.By) + factBytes(e.Facts)
	if e.Proposal != nil {
		n += proposalBytes
	}
	return n
}

// put is the transaction.
func (w *write) put(tx store.Tx) error {
	w.over = nil
	for _, mac := range w.forgotten {
		if err := forgetMachine(tx, mac); err != nil {
			return err
		}
	}
	keys := make([]string, len(w.macs))
	for i, mac := range w.macs {
		keys[i] = string(mac)
	}
	values, err := tx.GetEach(stateBucket, keys)
	if err != nil {
		return err
	}
	for i, mac := range w.macs {
		r := w.tracker.readRecord(mac, values[i])
		for _, e := range w.waiting[mac] {
			if err := r.fold(tx, e); err != nil {
				return err
			}
		}
		if w.tracker.tooMany(mac, r) != (excess{}) {
			w.over = append(w.over, mac)
		}
		if err := store.PutJSON(tx, stateBucket, string(mac), r); err != nil {
			return err
		}
	}
	return store.PutJSON(tx, metaBucket, clockKey, w.at)
}

func forgetMachine(tx store.Tx, mac provision.MAC) error {
	for _, bucket := range []string{eventBucket, decisionBucket} {
		if _, err := deleteOldest(tx, bucket, mac, -1); err != nil {
			return err
		}
	}
	if err := tx.Delete(inspectionBucket, string(mac)); err != nil {
		return err
	}
	return tx.Delete(stateBucket, string(mac))
}

// flush writes everything that waits now.
func (t *Tracker) flush(ctx context.Context) error {
	var lanes errgroup.Group
	lanes.SetLimit(flushers)
	for i := range t.lanes {
		lanes.Go(func() error { return t.flushLane(ctx, &t.lanes[i]) })
	}
	return lanes.Wait()
}

// flushLane writes what waits of a lane's machines. A decision about one of them
// need not wait for all.
func (t *Tracker) flushLane(ctx context.Context, l *lane) error {
	t.lock()
	rest := slices.Sorted(maps.Keys(l.dirty))
	t.unlock()
	for more := true; more; {
		var err error
		l.writing.Lock()
		rest, more, err = t.flushSome(ctx, l, rest)
		l.writing.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// flushMachine writes what waits of one machine.
func (t *Tracker) flushMachine(ctx context.Context, mac provision.MAC) error {
	l := t.lane(mac)
	l.writing.Lock()
	defer l.writing.Unlock()
	return t.flushMachines(ctx, l, []provision.MAC{mac})
}

// flushMachines writes what waits of some machines of a lane. The caller holds the
// lane's lock.
func (t *Tracker) flushMachines(ctx context.Context, l *lane, rest []provision.MAC) (err error) {
	for more := true; more && err == nil; {
		rest, more, err = t.flushSome(ctx, l, rest)
	}
	return err
}

// flushSome is one write of flushMachines. It returns the machines of which there
// may be more to write.
func (t *Tracker) flushSome(ctx context.Context, l *lane, macs []provision.MAC) (rest []provision.MAC, more bool, err error) {
	t.lock()
	w, rest := t.nextWrite(l, macs)
	t.unlock()
	if w.empty() {
		return nil, false, nil
	}
	if err := t.store.Update(ctx, w.put); err != nil {
		t.unwritten(l, w)
		return rest, false, fmt.Errorf("write %d events: %w", w.events(), err)
	}
	for _, mac := range w.over {
		if err := t.trim(ctx, mac); err != nil {
			return rest, false, err
		}
	}
	return rest, true, nil
}

// unwritten keeps what could not be written for the next time, as long as there
// is room.
func (t *Tracker) unwritten(l *lane, w write) {
	t.lock()
	defer t.unlock()
	for _, mac := range w.forgotten {
		if _, again := t.machines[mac]; !again {
			l.forgotten[mac] = struct{}{}
		}
	}
	if t.waiting <= maxAhead {
		return
	}
	before := t.waiting
	for _, m := range t.machines {
		if len(m.waiting) > 0 {
			t.settle(m, *m.stored, func(w waiting) bool { return !w.Durable() })
		}
	}
	t.log.Error("events are lost: they could not be written, and too many wait", "lost", before-t.waiting)
}

// excess is how many events of a machine are too many.
type excess struct{ events, decisions int }

// tooMany says how many of a machine's events are to be deleted.
func (t *Tracker) tooMany(mac provision.MAC, r record) excess {
	history, slack := maxHistory, trimSlack
	if !t.known(mac) {
		history, slack = strangerHistory, strangerSlack
	}
	return excess{over(r.Events, history, slack), over(r.Decisions, maxDecisions, trimSlack)}
}

// over is by how much a number of events exceeds a bound, if it exceeds it by
// more than slack. Otherwise it is 0.
func over(n, bound, slack int) int {
	if n <= bound+slack {
		return 0
	}
	return n - bound
}

// trim deletes a machine's oldest events.
func (t *Tracker) trim(ctx context.Context, mac provision.MAC) error {
	most := t.store.Limits().Writes / 4
	for again := true; again; {
		err := t.store.Update(ctx, func(tx store.Tx) error {
			again = false
			value, err := tx.Get(stateBucket, string(mac))
			if err != nil || value == nil {
				return err
			}
			r := t.readRecord(mac, value)
			e := t.tooMany(mac, r)
			events, err := deleteOldest(tx, eventBucket, mac, min(e.events, most))
			if err != nil {
				return err
			}
			decisions, err := deleteOldest(tx, decisionBucket, mac, min(e.decisions, most))
			if err != nil {
				return err
			}
			again = events+decisions > 0 && max(e.events, e.decisions) > most
			r.Events, r.Decisions = r.Events-events, r.Decisions-decisions
			return store.PutJSON(tx, stateBucket, string(mac), r)
		})
		if err != nil {
			return fmt.Errorf("delete the oldest events of %s: %w", mac, err)
		}
	}
	return nil
}

// deleteOldest deletes a machine's oldest n events in a bucket, or all if n is
// negative. It returns how many there were.
func deleteOldest(tx store.Tx, bucket string, mac provision.MAC, n int) (int, error) {
	if n == 0 {
		return 0, nil
	}
	var keys []string
	err := tx.Scan(bucket, string(mac)+"/", "", func(key string, _ []byte) error {
		if len(keys) == n {
			return store.ErrStopScan
		}
		keys = append(keys, key)
		return nil
	})
	for _, key := range keys {
		if err == nil {
			err = tx.Delete(bucket, key)
		}
	}
	return len(keys), err
}

// wake tells Run that there is something to write.
func (t *Tracker) wake() {
	select {
	case t.kick <- struct{}{}:
	default: // Run knows already
	}
}

// Run writes the recorded events, each time those of a moment together, until
// ctx ends. Then it writes the rest. If a write fails, it tries again.
func (t *Tracker) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
		case <-t.kick:
			_ = pause.For(ctx, writeDelay) // whether ctx has ended is asked below
		}
		if ctx.Err() != nil {
			t.sayLost(true)
			return t.flush(context.WithoutCancel(ctx))
		}
		t.sayLost(false)
		if err := t.flush(context.WithoutCancel(ctx)); err != nil {
			t.log.Error("events cannot be written; trying again", "error", err)
			_ = pause.For(ctx, retryDelay) // once ctx has ended, the rest is written at once
			t.wake()
		}
	}
}
