package track_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
)

// clock is a time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// countingStore counts updates, and fails them on demand.
type countingStore struct {
	store.Store
	updates atomic.Int64
	broken  atomic.Bool
}

var errBroken = errors.New("no space left on device")

func (s *countingStore) Update(ctx context.Context, write func(store.Tx) error) error {
	s.updates.Add(1)
	if s.broken.Load() {
		return errBroken
	}
	return s.Store.Update(ctx, write)
}

func tracker(t *testing.T, s store.Store) *track.Tracker {
	t.Helper()
	return trackerAt(t, s, &clock{now: midday})
}

func trackerAt(t *testing.T, s store.Store, c *clock) *track.Tracker {
	t.Helper()
	tr, err := track.NewTracker(s, track.Options{Clock: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func record(t *testing.T, tr *track.Tracker, events ...provision.Event) {
	t.Helper()
	for _, e := range events {
		if err := tr.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func events(t *testing.T, tr *track.Tracker, mac provision.MAC) []provision.Event {
	t.Helper()
	all, err := tr.Events(t.Context(), mac, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// flush runs the tracker's writer to its end: it writes what is left.
func flush(t *testing.T, tr *track.Tracker) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tr.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func logged(i int) provision.Event {
	return provision.Event{MAC: node, Kind: provision.KindLog, Text: fmt.Sprintf("event %d", i)}
}

func TestAStormOfPacketsIsFewWrites(t *testing.T) {
	store := &countingStore{Store: &store.Memory{}}
	tr := tracker(t, store)
	for i := range 1000 {
		record(t, tr, logged(i))
	}
	if n := store.updates.Load(); n != 0 {
		t.Errorf("%d writes for 1000 events before any was due", n)
	}
	flush(t, tr)
	if n := store.updates.Load(); n != 1 {
		t.Errorf("%d writes for 1000 events", n)
	}
	if got := events(t, tracker(t, store), node); len(got) != 1000 || got[999].Text != "event 999" {
		t.Errorf("after a restart: %d events", len(got))
	}
}

func TestRunWritesWithoutBeingStopped(t *testing.T) {
	store := &countingStore{Store: &store.Memory{}}
	written := make(chan struct{})
	tr := tracker(t, notifyingStore{store, written})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- tr.Run(ctx) }()
	record(t, tr, logged(1))
	<-written // or the test's own deadline passes
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := events(t, tracker(t, store), node); len(got) != 1 {
		t.Errorf("%d events are in the store", len(got))
	}
}

// notifyingStore tells of each update after it is done.
type notifyingStore struct {
	store.Store
	done chan struct{}
}

func (s notifyingStore) Update(ctx context.Context, write func(store.Tx) error) error {
	err := s.Store.Update(ctx, write)
	s.done <- struct{}{}
	return err
}

func TestWhatDecidesAboutDisksIsDurableAtOnce(t *testing.T) {
	for _, kind := range []provision.Event{
		{Kind: provision.KindArmed, By: "ann"}, {Kind: provision.KindDisarmed, By: "ann"},
		{Kind: provision.KindClaim, Stage: provision.StageAgent},
		{Kind: provision.KindFailed, Text: "x"}, {Kind: provision.KindDone},
	} {
		store := &store.Memory{}
		tr := tracker(t, store)
		kind.MAC = node
		record(t, tr, logged(1), kind)
		want, _ := tr.State(node)
		// The process is killed here: nothing more is written.
		again := tracker(t, store)
		if got, _ := again.State(node); got.String() != want.String() || got.Armed != want.Armed || got.Installs != want.Installs || got.Cancelled != want.Cancelled {
			t.Errorf("%s: after a crash the state is %+v, want %+v", kind.Kind, got, want)
		}
		if got := events(t, again, node); len(got) != 2 || got[1].Kind != kind.Kind {
			t.Errorf("%s: after a crash there are the events %v", kind.Kind, got)
		}
	}
}

func TestAnArmingThatCannotBeWrittenHasNotHappened(t *testing.T) {
	store := &countingStore{Store: &store.Memory{}}
	tr := tracker(t, store)
	record(t, tr, logged(1))
	spec := &provision.Spec{MAC: node, Image: "debian"}
	store.broken.Store(true)
	if err := tr.Arm(t.Context(), node, spec, track.Order{By: "ann"}); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	if s, _ := tr.State(node); s.Armed {
		t.Error("the machine is armed, though that could not be written")
	}
	store.broken.Store(false)
	if got := events(t, tr, node); len(got) != 1 || got[0].Text != "event 1" {
		t.Errorf("after the disk was mended: %v", got)
	}
	if err := tr.Arm(t.Context(), node, spec, track.Order{By: "ann"}); err != nil {
		t.Error(err)
	}
	if s, _ := tracker(t, store).State(node); !s.Armed || s.ArmedBy != "ann" || !s.ArmedAt.Equal(midday) {
		t.Errorf("got %+v", s)
	}
}

func TestArmRefusesWhatCannotBeInstalled(t *testing.T) {
	tr := tracker(t, &store.Memory{})
	for want, spec := range map[string]*provision.Spec{
		`write {"image": "NAME"} into machines/52:54:00:00:00:01.json`: nil,
		`add "image": "NAME" to machines/52:54:00:00:00:01.json`:       {MAC: node},
	} {
		err := tr.Arm(t.Context(), node, spec, track.Order{By: "ann"})
		if !errors.Is(err, provision.ErrNotInstallable) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if s, known := tr.State(node); s.Armed || known {
		t.Errorf("got %+v", s)
	}
}

func TestDisarmHasTheLastWord(t *testing.T) {
	tr := tracker(t, &store.Memory{})
	spec := &provision.Spec{MAC: node, Image: "debian", InstallOnce: true}
	decide := func() provision.Action {
		s, _ := tr.State(node)
		return provision.Decide(spec, s).Action
	}
	if decide() != provision.ActionInstall {
		t.Error("the first install is not armed")
	}
	if err := tr.Disarm(t.Context(), node, "ann", "wrong rack"); err != nil {
		t.Fatal(err)
	}
	if decide() != provision.ActionLocal {
		t.Error("cancelled, and armed nevertheless")
	}
	if err := tr.Arm(t.Context(), node, spec, track.Order{By: "ann"}); err != nil {
		t.Fatal(err)
	}
	if decide() != provision.ActionInstall {
		t.Error("armed again, and not armed")
	}
}

func TestRepeatedEventsAreCounted(t *testing.T) {
	c := &clock{now: midday}
	tr := trackerAt(t, &store.Memory{}, c)
	discover := provision.Event{MAC: node, Kind: provision.KindDHCP, Text: "DISCOVER", Stage: provision.StageFirmware}
	request := provision.Event{MAC: node, Kind: provision.KindDHCP, Text: "REQUEST"}
	for range 5 {
		record(t, tr, discover, request)
		c.Advance(time.Second)
	}
	c.Advance(10 * time.Second)
	record(t, tr, discover)
	got := events(t, tr, node)
	if len(got) != 3 || got[0].Count != 5 || got[1].Count != 5 || got[2].Count != 0 || !got[0].Time.Equal(midday) {
		t.Errorf("got %v", got)
	}
	if s, _ := tr.State(node); !s.Seen.Equal(midday.Add(15 * time.Second)) {
		t.Errorf("last seen %s", s.Seen)
	}
}

func TestWhatMattersIsNeverCollapsed(t *testing.T) {
	tr := tracker(t, &store.Memory{})
	loader, kernel := begins(provision.StageLoader), begins(provision.StageKernel)
	failed := provision.Event{Kind: provision.KindFailed, Text: "x"}
	for _, e := range []provision.Event{loader, kernel, loader, kernel, failed, failed} {
		e.MAC = node
		record(t, tr, e)
	}
	if got := events(t, tr, node); len(got) != 6 {
		t.Errorf("6 events became %d: %v", len(got), got)
	}
}

func TestProgressIsInMemoryOnly(t *testing.T) {
	store := &countingStore{Store: &store.Memory{}}
	tr := tracker(t, store)
	record(t, tr, provision.Event{MAC: node, Kind: provision.KindStage, Stage: provision.StageStream})
	flush(t, tr)
	before := store.updates.Load()
	for i := range 100 {
		record(t, tr, provision.Event{MAC: node, Kind: provision.KindProgress, Progress: &provision.Progress{Done: int64(i), Total: 100}})
	}
	flush(t, tr)
	if s, _ := tr.State(node); s.Progress == nil || s.Progress.Done != 99 {
		t.Errorf("got %+v", s)
	}
	if n := store.updates.Load() - before; n != 0 {
		t.Errorf("progress was written %d times", n)
	}
	record(t, tr, logged(1))
	flush(t, tr)
	if s, _ := tracker(t, store).State(node); s.Progress != nil || s.Stage != provision.StageStream {
		t.Errorf("after a restart: %+v", s)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	store := &store.Memory{}
	tr := tracker(t, store)
	spec := &provision.Spec{MAC: node, Image: "debian"}
	if err := tr.Arm(t.Context(), node, spec, track.Order{By: "ann"}); err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		record(t, tr, logged(i))
		if i%500 == 499 {
			flush(t, tr)
		}
	}
	got := events(t, tr, node)
	if len(got) > 2300 || len(got) < 2000 || got[len(got)-1].Text != "event 4999" {
		t.Errorf("%d events are kept", len(got))
	}
	for i := 1; i < len(got); i++ {
		if got[i].ID <= got[i-1].ID {
			t.Fatalf("IDs out of order: %d after %d", got[i].ID, got[i-1].ID)
		}
	}
	if s, _ := tracker(t, store).State(node); !s.Armed {
		t.Error("the arming went with its event")
	}
}

func TestEventsAfterAndLimit(t *testing.T) {
	tr := tracker(t, &store.Memory{})
	for i := range 10 {
		record(t, tr, logged(i))
	}
	record(t, tr, provision.Event{MAC: "52:54:00:00:00:02", Kind: provision.KindLog, Text: "another's"})
	all := events(t, tr, node)
	if len(all) != 10 {
		t.Fatalf("%d events", len(all))
	}
	some, err := tr.Events(t.Context(), node, all[4].ID, 3)
	if err != nil || len(some) != 3 || some[0].Text != "event 7" || some[2].Text != "event 9" {
		t.Errorf("got %v, %v", some, err)
	}
}

func TestIDsGoOnAfterACrash(t *testing.T) {
	store := &store.Memory{}
	tr := tracker(t, store)
	record(t, tr, provision.Event{MAC: node, Kind: provision.KindArmed})
	seen := tr.Subscribe(t.Context(), node)
	record(t, tr, logged(1)) // seen by a reader, and lost with the process
	last := (<-seen).ID
	again := trackerAt(t, store, &clock{now: midday.Add(time.Millisecond)})
	record(t, again, logged(2))
	if got := events(t, again, node); got[len(got)-1].ID <= last {
		t.Errorf("ID %d was given again after %d", got[len(got)-1].ID, last)
	}
}

// TestStrangersDoNotFillTheMemory: they have a bound in number and in bytes. The
// machines of the site have none, and are not driven out.
func TestStrangersDoNotFillTheMemory(t *testing.T) {
	const ours, limit = 5000, 4096
	kept := &store.Memory{}
	var log bytes.Buffer
	known := func(mac provision.MAC) bool { return strings.HasPrefix(string(mac), "52:") }
	open := func() *track.Tracker {
		tr, err := track.NewTracker(kept, track.Options{
			Clock: (&clock{now: midday}).Now, Known: known, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	tr := open()
	for i := range ours {
		m := provision.MAC(fmt.Sprintf("52:00:00:00:%02x:%02x", i>>8, i&255))
		record(t, tr, provision.Event{MAC: m, Kind: provision.KindDHCP, Text: "DISCOVER"})
	}
	facts := map[string]string{}
	for i := range 16 {
		facts[fmt.Sprint("fact", i)] = strings.Repeat("f", 512)
	}
	var last provision.MAC
	for i := range 2 * limit {
		last = provision.MAC(fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&255))
		record(t, tr, provision.Event{MAC: last, Kind: provision.KindDHCP, Stage: provision.StageStranger, Text: strings.Repeat("t", 4096), Facts: facts})
	}
	for i := range 200 {
		record(t, tr, provision.Event{MAC: last, Kind: provision.KindDHCP, Text: fmt.Sprint("DISCOVER ", i)})
		if i%40 == 39 {
			flush(t, tr)
		}
	}
	flush(t, tr)
	for what, tr := range map[string]*track.Tracker{"in memory": tr, "in the store": open()} {
		strangers := 0
		for _, s := range tr.States() {
			if !known(s.MAC) {
				strangers++
			}
		}
		if n := len(tr.States()) - strangers; n != ours || strangers > limit || strangers < limit/2 {
			t.Errorf("%s: %d of %d machines of the site, and %d strangers", what, n, ours, strangers)
		}
	}
	if n := len(events(t, tr, last)); n < 20 || n > 70 { // 40 more between two writes
		t.Errorf("%d events of a stranger are kept", n)
	}
	if n := strings.Count(log.String(), "forgotten"); n != 1 {
		t.Errorf("the log says %d times that strangers were forgotten", n)
	}
	size := 0
	if err := kept.View(t.Context(), func(tx store.Tx) error {
		return tx.Scan("events", "02:", "", func(key string, value []byte) error { size += len(key) + len(value); return nil })
	}); err != nil {
		t.Fatal(err)
	}
	if size > limit*2048 {
		t.Errorf("the strangers have %d bytes of events", size)
	}
}

// TestNoFloodDrivesOutADecision: forged packets that all differ fill a
// machine's history. Who armed it stays.
func TestNoFloodDrivesOutADecision(t *testing.T) {
	kept := &store.Memory{}
	tr := tracker(t, kept)
	record(t, tr, provision.Event{MAC: node, Kind: provision.KindArmed, By: "ann", Text: "armed"})
	for i := range 7000 {
		record(t, tr, provision.Event{MAC: node, Kind: provision.KindDHCP, Text: fmt.Sprint("DISCOVER ", i)})
		if i%1000 == 0 {
			flush(t, tr)
		}
	}
	flush(t, tr)
	got := events(t, tracker(t, kept), node)
	if first := got[0]; first.Kind != provision.KindArmed || first.By != "ann" || len(got) > 3300 {
		t.Errorf("of %d events the first is %s", len(got), first)
	}
	for i := 1; i < len(got); i++ {
		if got[i].ID <= got[i-1].ID {
			t.Fatalf("IDs out of order: %d after %d", got[i].ID, got[i-1].ID)
		}
	}
}

// TestDecisionsAreBounded: even what decides about disks does not grow for ever.
func TestDecisionsAreBounded(t *testing.T) {
	tr := tracker(t, &store.Memory{})
	for range 900 {
		record(t, tr, provision.Event{MAC: node, Kind: provision.KindArmed, By: "ann"})
	}
	record(t, tr, logged(1))
	flush(t, tr)
	if n := len(events(t, tr, node)); n > 750 || n < 500 {
		t.Errorf("%d events are kept", n)
	}
}

// TestEventsHaveNoControlCharacters: an agent's text cannot take over the
// terminal of a person who looks.
func TestEventsHaveNoControlCharacters(t *testing.T) {
	tr := tracker(t, &store.Memory{})
	const evil = "\x1b]0;title\a\u009b31m\u202egnp.exe\r\n\x00"
	record(t, tr, provision.Event{MAC: node, Kind: provision.KindArmed, Text: evil, Reason: evil, By: evil, Facts: map[string]string{"disk": evil, evil: "x"}})
	e := events(t, tr, node)[0]
	for _, text := range []string{e.Text, e.Reason, e.By, fmt.Sprint(e.Facts)} {
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.Contains(text, "\n") {
			t.Errorf("an event says %q", text)
		}
	}
	if !strings.Contains(e.Text, "title") {
		t.Errorf("what can be shown is gone: %q", e.Text)
	}
}

func TestSubscribe(t *testing.T) {
	tr := tracker(t, &store.Memory{})
	ctx, cancel := context.WithCancel(t.Context())
	one, all := tr.Subscribe(ctx, node), tr.Subscribe(ctx, "")
	record(t, tr, provision.Event{MAC: "52:54:00:00:00:02", Kind: provision.KindLog, Text: "another's"},
		logged(1), logged(1), provision.Event{MAC: node, Kind: provision.KindArmed, Text: "armed"})
	if e := <-all; e.Text != "another's" {
		t.Errorf("got %v", e)
	}
	for _, c := range []<-chan provision.Event{one, all} {
		first, counted, armed := <-c, <-c, <-c
		if first.Text != "event 1" || counted.ID != first.ID || counted.Count != 2 || armed.Kind != provision.KindArmed {
			t.Errorf("got %v, %v, %v", first, counted, armed)
		}
	}
	cancel()
	if _, open := <-one; open {
		t.Error("the channel is open after its context ended")
	}
}

func TestASlowSubscriberHoldsUpNobody(t *testing.T) {
	tr := tracker(t, &store.Memory{})
	slow := tr.Subscribe(t.Context(), "")
	for i := range 1000 {
		record(t, tr, logged(i))
	}
	var last uint64
	for e := range slow { // ends, since it is closed
		last = e.ID
	}
	missed, err := tr.Events(t.Context(), node, last, 0)
	if err != nil || last == 0 || len(missed) != 744 || missed[0].Text != "event 256" || missed[len(missed)-1].Text != "event 999" {
		t.Errorf("after %d: %d events, %v", last, len(missed), err)
	}
}

func TestRecordRefusesWhatIsNoEvent(t *testing.T) {
	tr := tracker(t, &store.Memory{})
	for _, e := range []provision.Event{{Kind: provision.KindLog}, {MAC: "nonsense", Kind: provision.KindLog}, {MAC: node}} {
		if err := tr.Record(t.Context(), e); err == nil {
			t.Errorf("%+v was recorded", e)
		}
	}
}

func TestTrackerIsSafeForManyAtOnce(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "store.db"))
	tr := tracker(t, store)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- tr.Run(ctx) }()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			m := provision.MAC(fmt.Sprintf("02:00:00:00:00:%02x", g/2)) // two share a machine
			reading, stop := context.WithCancel(ctx)
			c := tr.Subscribe(reading, m)
			for i := range 50 {
				tr.Record(ctx, provision.Event{MAC: m, Kind: provision.KindDHCP, Text: fmt.Sprintf("%d %d", g, i), Stage: provision.StageFirmware, Facts: map[string]string{"n": fmt.Sprint(i)}})
				if i%25 == 0 {
					tr.Record(ctx, provision.Event{MAC: m, Kind: provision.KindArmed, By: fmt.Sprint(g)})
				}
				tr.State(m)
			}
			stop()
			for range c {
			}
		})
	}
	wg.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, s := range tracker(t, store).States() {
		if got := events(t, tr, s.MAC); len(got) != 104 || !s.Armed {
			t.Errorf("%s: %d events, armed %t", s.MAC, len(got), s.Armed)
		}
	}
}

func TestLongAndBrokenTextIsCut(t *testing.T) {
	tr := tracker(t, &store.Memory{})
	long := strings.Repeat("ü", 5000) + "\xff"
	record(t, tr, provision.Event{MAC: node, Kind: provision.KindLog, Text: long, Facts: map[string]string{"hostname": "\xff" + long}})
	e := events(t, tr, node)[0]
	if len(e.Text) > 4096 || len(e.Facts["hostname"]) > 512 || !utf8.ValidString(e.Text) || !utf8.ValidString(e.Facts["hostname"]) {
		t.Errorf("kept %d and %d bytes", len(e.Text), len(e.Facts["hostname"]))
	}
}

// midday is when the tests of this package begin.
var midday = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// node is the machine of these tests.
const node provision.MAC = "52:54:00:00:00:01"

func begins(s provision.Stage) provision.Event {
	return provision.Event{Kind: provision.KindStage, Stage: s}
}

func openStore(t *testing.T, path string) *store.File {
	t.Helper()
	s, err := store.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestObserveDoesNotWaitForTheStore: beyond a bound, events are dropped and
// counted, and none is written by who records it.
func TestObserveDoesNotWaitForTheStore(t *testing.T) {
	const sent, bound = 5000, 4096
	counted := &countingStore{Store: &store.Memory{}}
	var log bytes.Buffer
	tr, err := track.NewTracker(counted, track.Options{Clock: (&clock{now: midday}).Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for i := range sent {
		m := provision.MAC(fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&255))
		if err := tr.Observe(provision.Event{MAC: m, Kind: provision.KindDHCP, Text: "DISCOVER"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := counted.updates.Load(); n != 0 {
		t.Errorf("%d writes by who observes", n)
	}
	flush(t, tr)
	if n := len(tracker(t, counted).States()); n != bound {
		t.Errorf("%d events are stored, want %d", n, bound)
	}
	if lost := fmt.Sprintf("lost=%d\n", sent-bound); strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), lost) {
		t.Errorf("log %q, want one line with %q", log.String(), lost)
	}
	if err := tr.Observe(provision.Event{MAC: node, Kind: provision.KindDone}); err == nil || !strings.Contains(err.Error(), "must be durable") {
		t.Errorf("a durable event: %v", err)
	}
}

// TestAClockThatJumped is told when the server starts.
func TestAClockThatJumped(t *testing.T) {
	kept := &store.Memory{}
	c := &clock{now: midday}
	tr := trackerAt(t, kept, c)
	record(t, tr, logged(1))
	flush(t, tr)
	for jump, want := range map[time.Duration]string{
		0: "", time.Hour: "", -time.Second: "", -time.Hour: "behind=1h0m0s", 365 * 24 * time.Hour: "ahead=8760h0m0s",
	} {
		var log bytes.Buffer
		now := midday.Add(jump)
		_, err := track.NewTracker(kept, track.Options{Clock: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if got := log.String(); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("after a jump of %s the log says %q, want %q", jump, got, want)
		}
	}
}

// TestLatest: what a reader missed comes from memory, as far as that goes back.
func TestLatest(t *testing.T) {
	kept := &store.Memory{}
	record(t, tracker(t, kept), provision.Event{MAC: node, Kind: provision.KindArmed})
	tr := tracker(t, kept)
	if got, ok := tr.Latest(0); ok {
		t.Errorf("memory has what was before the start: %v", got)
	}
	for i := range 20 {
		record(t, tr, logged(i), logged(i))
	}
	flush(t, tr)
	all := events(t, tr, node)
	after := all[10].ID
	got, ok := tr.Latest(after)
	if !ok || got[0].ID != all[11].ID || got[len(got)-1].ID != all[20].ID || got[len(got)-1].Count != 2 {
		t.Errorf("after %d: %v, %t", after, got, ok)
	}
	for i := range 9000 {
		record(t, tr, logged(100+i))
	}
	if _, ok := tr.Latest(after); ok {
		t.Error("memory has no bound")
	}
	if got, ok := tr.Latest(all[20].ID + 5001*track.Slots); !ok || len(got) != 4000 {
		t.Errorf("%d events, %t", len(got), ok)
	}
}

// TestAStrangerBecomesKnown: its file is written after it was first seen. From
// then on it has a history like any machine.
func TestAStrangerBecomesKnown(t *testing.T) {
	known := false
	tr, err := track.NewTracker(&store.Memory{}, track.Options{Clock: (&clock{now: midday}).Now, Known: func(provision.MAC) bool { return known }})
	if err != nil {
		t.Fatal(err)
	}
	record(t, tr, logged(0))
	known = true
	for i := range 300 {
		record(t, tr, logged(1+i))
		if i%50 == 0 {
			flush(t, tr)
		}
	}
	if n := len(events(t, tr, node)); n != 301 {
		t.Errorf("%d events are kept", n)
	}
}
