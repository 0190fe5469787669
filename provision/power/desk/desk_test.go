package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/power"
)

// rack is a controller of several machines that notes what it is told, and when.
type rack struct {
	mu      sync.Mutex
	began   time.Time
	state   map[provision.MAC]power.State
	calls   []string
	talking int
	deaf    bool // its systems do not shut down when asked
	slow    time.Duration
}

type blade struct {
	*rack
	mac provision.MAC
}

func (b blade) State(context.Context) (power.State, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state[b.mac], nil
}

func (b blade) Do(ctx context.Context, action power.Action) error {
	b.mu.Lock()
	b.talking++
	if b.talking > 1 && b.slow > 0 {
		b.calls = append(b.calls, "two at once")
	}
	b.calls = append(b.calls, fmt.Sprintf("%v %s %s", time.Since(b.began), b.mac, action))
	b.mu.Unlock()
	err := pause.For(ctx, b.slow)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.talking--
	switch action {
	case power.On, power.Cycle:
		b.state[b.mac] = power.IsOn
	case power.Off:
		b.state[b.mac] = power.IsOff
	case power.Shutdown:
		if !b.deaf {
			b.state[b.mac] = power.IsOff
		}
	}
	return err
}

// newRack makes a desk for machines that are off, which share a controller or have
// one each.
func newRack(stagger time.Duration) (*rack, *Desk, *[]provision.Event) {
	r := &rack{state: map[provision.MAC]power.State{}, began: time.Now()}
	var events []provision.Event
	d := New(Options{
		Open: func(s *provision.Spec) (power.Controller, error) {
			if s.Power == nil {
				return nil, errors.New("no controller")
			}
			return blade{r, s.MAC}, nil
		},
		Record: func(_ context.Context, e provision.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			events = append(events, e)
		},
		Stagger: func() time.Duration { return stagger },
	})
	return r, d, &events
}

func (r *rack) machine(i int, shared bool) *provision.Spec {
	mac := provision.MAC(fmt.Sprintf("52:54:00:00:00:%02x", i))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state[mac] == "" {
		r.state[mac] = power.IsOff
	}
	host := fmt.Sprintf("10.9.0.%d", i)
	if shared {
		host = "10.9.0.1"
	}
	return &provision.Spec{MAC: mac, Power: &provision.Power{IPMI: host}}
}

// finish orders something, and returns what became of it.
func finish(t *testing.T, d *Desk, spec *provision.Spec, o Order) Job {
	t.Helper()
	job, err := d.Order(spec, o)
	if err != nil {
		t.Fatal(err)
	}
	job, ok := d.Wait(t.Context(), spec.MAC, job.ID)
	if !ok || !job.Done {
		t.Fatalf("the job is lost: %+v", job)
	}
	return job
}

// TestStagger: machines are switched on one after the other, and only then has each
// its next boot set. What is on already takes no time.
func TestStagger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := newRack(2 * time.Second)
		on := r.machine(9, false)
		r.state[on.MAC] = power.IsOn
		var jobs []Job
		for i := 1; i <= 3; i++ {
			job, err := d.Order(r.machine(i, false), Order{Action: power.On, Network: true, By: "eve"})
			if err != nil {
				t.Fatal(err)
			}
			jobs = append(jobs, job)
			synctest.Wait()
		}
		if job := finish(t, d, on, Order{Action: power.On, By: "eve"}); job.Text != "is on already" || time.Since(r.began) != 0 {
			t.Errorf("after %v: %+v", time.Since(r.began), job)
		}
		for _, job := range jobs {
			if job, _ = d.Wait(t.Context(), job.MAC, job.ID); job.Error != "" {
				t.Errorf("%+v", job)
			}
		}
		want := "0s 52:54:00:00:00:01 boot-network, 0s 52:54:00:00:00:01 on, 2s 52:54:00:00:00:02 boot-network, 2s 52:54:00:00:00:02 on, 4s 52:54:00:00:00:03 boot-network, 4s 52:54:00:00:00:03 on"
		if got := strings.Join(r.calls, ", "); got != want {
			t.Errorf("called\n%s, want\n%s", got, want)
		}
	})
}

// TestOneAtATime: two systems of one controller are switched one after the other.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := newRack(0)
		r.slow = 3 * time.Second
		var specs []*provision.Spec
		for i := 1; i <= 4; i++ { // before the first order is carried out, which reads them
			spec := r.machine(i, true)
			r.state[spec.MAC] = power.IsOn
			specs = append(specs, spec)
		}
		var jobs []Job
		for _, spec := range specs {
			job, err := d.Order(spec, Order{Action: power.Reset, By: "eve"})
			if err != nil {
				t.Fatal(err)
			}
			jobs = append(jobs, job)
		}
		for _, job := range jobs {
			d.Wait(t.Context(), job.MAC, job.ID)
		}
		synctest.Wait()
		if took := time.Since(r.began); took != 12*time.Second || len(r.calls) != 4 {
			t.Errorf("after %v: %q", took, r.calls)
		}
		if len(d.lanes) != 0 {
			t.Errorf("%d lanes are left", len(d.lanes))
		}
	})
}

// TestShutDown: off waits for the system, and says so when it does not go; force does
// not ask.
func TestShutDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, events := newRack(0)
		spec := r.machine(1, false)
		r.state[spec.MAC] = power.IsOn
		if job := finish(t, d, spec, Order{Action: power.Off, By: "eve"}); job.Text != "is shut down, and off" {
			t.Errorf("%+v", job)
		}
		r.state[spec.MAC], r.deaf = power.IsOn, true
		began := time.Now()
		if job := finish(t, d, spec, Order{Action: power.Off, By: "eve"}); !strings.Contains(job.Error, "still on") || time.Since(began) != ShutdownTime {
			t.Errorf("after %v: %+v", time.Since(began), job)
		}
		if job := finish(t, d, spec, Order{Action: power.Off, Force: true, By: "eve"}); job.Text != "is switched off" {
			t.Errorf("%+v", job)
		}
		var told []string
		for _, e := range *events {
			if e.Kind != provision.KindPower || e.By != "eve" || e.MAC != spec.MAC {
				t.Errorf("%+v", e)
			}
			told = append(told, e.Text)
		}
		want := "power off ordered, is shut down, and off, power off ordered, power off failed, power off at once ordered, is switched off"
		if got := strings.Join(told, ", "); got != want {
			t.Errorf("the trace has\n%s, want\n%s", got, want)
		}
	})
}

// TestOrdersThatFit: what cannot be done is said, and what is cycled while it is off
// is switched on.
func TestOrdersThatFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := newRack(0)
		spec := r.machine(1, false)
		for _, o := range []Order{{Action: power.Shutdown}, {Action: power.Off, Network: true}, {Action: power.On, Force: true}, {}} {
			if _, err := d.Order(spec, o); err == nil {
				t.Errorf("%+v is taken", o)
			}
		}
		if _, err := d.Order(&provision.Spec{}, Order{Action: power.On}); err == nil {
			t.Error("a machine without a controller is switched")
		}
		if job := finish(t, d, spec, Order{Action: power.Reset}); !strings.Contains(job.Error, "it is off") {
			t.Errorf("%+v", job)
		}
		if job := finish(t, d, spec, Order{Action: power.Cycle}); job.Text != "is switched on" {
			t.Errorf("%+v", job)
		}
		if job := finish(t, d, spec, Order{Action: power.On, Network: true}); !strings.Contains(job.Error, "on already") {
			t.Errorf("%+v", job)
		}
		if _, ok := d.Wait(t.Context(), "another", 1); ok {
			t.Error("a job is told for another machine")
		}
	})
}

// TestStop: when the server stops, what waits for its turn ends at once, undone, and
// no order is taken any more.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := newRack(time.Hour)
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- d.Run(ctx) }()
		first, _ := d.Order(r.machine(1, false), Order{Action: power.On})
		synctest.Wait()
		second, _ := d.Order(r.machine(2, false), Order{Action: power.On})
		synctest.Wait()
		stop()
		if err := <-ran; err != nil || time.Since(r.began) != 0 {
			t.Errorf("after %v: %v", time.Since(r.began), err)
		}
		if job, _ := d.Wait(t.Context(), first.MAC, first.ID); job.Error != "" {
			t.Errorf("%+v", job)
		}
		if job, _ := d.Wait(t.Context(), second.MAC, second.ID); job.Error != ErrStopping.Error() || len(r.calls) != 1 {
			t.Errorf("%+v %q", job, r.calls)
		}
		if _, err := d.Order(r.machine(3, false), Order{Action: power.On}); !errors.Is(err, ErrStopping) {
			t.Errorf("an order was taken: %v", err)
		}
	})
}

// TestFull: so many orders wait, and no more.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := newRack(time.Second)
		r.slow = time.Second // none ends while they are ordered
		spec := r.machine(1, false)
		for range maxOpen {
			if _, err := d.Order(spec, Order{Action: power.Cycle}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.Order(spec, Order{Action: power.Cycle}); !errors.Is(err, ErrFull) {
			t.Errorf("one more is taken: %v", err)
		}
		d.orders.Wait()
		finish(t, d, spec, Order{Action: power.On})
		if len(d.jobs) != maxKept {
			t.Errorf("%d jobs are kept", len(d.jobs))
		}
	})
}
