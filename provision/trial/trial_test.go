package trial_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/slots"
	"cloudlets/provision/trial"
)

const espAt = 1 << 20

// newDisk is a disk in a file, with a state of its slots.
func newDisk(t *testing.T, state slots.State) trial.Disk {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 40 << 20
	if err := f.Truncate(espAt + size); err != nil {
		t.Fatal(err)
	}
	var b buffer
	if err := fat.Write(t.Context(), &b, size, fat.Options{}, []fat.File{fat.Bytes(slots.Path, state.Block())}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, espAt); err != nil {
		t.Fatal(err)
	}
	return trial.Disk{File: f.Name(), ESP: espAt, Sector: 512, Slot: slots.B}
}

type buffer []byte

func (b *buffer) WriteAt(p []byte, off int64) (int, error) {
	if n := int(off) + len(p); n > len(*b) {
		*b = append(*b, bytes.Repeat([]byte{0}, n-len(*b))...)
	}
	return copy((*b)[off:], p), nil
}

func stateOf(t *testing.T, d trial.Disk) slots.State {
	t.Helper()
	f, err := os.Open(d.File)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := slots.Read(f, d.ESP)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWatch: a system is accepted when it has said that it runs, and has gone on for a
// while; else its trial ends.
func TestWatch(t *testing.T) {
	onTrial := slots.State{Good: slots.A, Trial: slots.B, Left: 2}
	for name, test := range map[string]struct {
		state slots.State
		says  time.Duration // when; 0 is never
		dies  time.Duration
		want  slots.State
		runs  bool
	}{
		"it says it":             {onTrial, time.Minute, 0, slots.Accepted(slots.B), true},
		"it says it late":        {onTrial, 9*time.Minute + 50*time.Second, 0, slots.Accepted(slots.B), true},
		"it says it too late":    {onTrial, 11 * time.Minute, 0, slots.State{Good: slots.A, Trial: slots.B, Failure: slots.Silent}, false},
		"it never says it":       {onTrial, 0, 0, slots.State{Good: slots.A, Trial: slots.B, Failure: slots.Silent}, false},
		"it says it and dies":    {onTrial, time.Minute, 90 * time.Second, onTrial, false},
		"it dies":                {onTrial, 0, time.Second, onTrial, false},
		"another one is written": {slots.Accepted(slots.B), time.Minute, 0, slots.Accepted(slots.B), true},
		"it is not on trial":     {slots.Accepted(slots.A), time.Minute, 0, slots.Accepted(slots.A), true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t, test.state)
			running := filepath.Join(t.TempDir(), "running")
			synctest.Test(t, func(t *testing.T) {
				begun := make(chan struct{})
				close(begun)
				ctx, die := context.WithCancel(t.Context())
				defer die()
				if test.says > 0 {
					time.AfterFunc(test.says, func() {
						if err := os.WriteFile(running, nil, 0o600); err != nil {
							t.Error(err)
						}
					})
				}
				if test.dies > 0 {
					time.AfterFunc(test.dies, die)
				}
				runs, err := trial.Watch(ctx, d, begun, running, trial.Patience, trial.Settle)
				if runs != test.runs || (err != nil) != (test.dies > 0) {
					t.Errorf("got %t, %v", runs, err)
				}
			})
			if got := stateOf(t, d); got != test.want {
				t.Errorf("the state is %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestLongPreparation does not count as the system's silence.
func TestLongPreparation(t *testing.T) {
	d := newDisk(t, slots.State{Good: slots.A, Trial: slots.B, Left: 2})
	running := filepath.Join(t.TempDir(), "running")
	synctest.Test(t, func(t *testing.T) {
		begun := make(chan struct{})
		time.AfterFunc(time.Hour, func() { close(begun) })
		time.AfterFunc(time.Hour+time.Minute, func() {
			if err := os.WriteFile(running, nil, 0o600); err != nil {
				t.Error(err)
			}
		})
		if runs, err := trial.Watch(t.Context(), d, begun, running, trial.Patience, trial.Settle); !runs || err != nil {
			t.Errorf("got %t, %v", runs, err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // one that never gets to its init
		if runs, err := trial.Watch(t.Context(), d, make(chan struct{}), running+"-not", trial.Patience, trial.Settle); runs || !errors.Is(err, trial.ErrNotBegun) {
			t.Errorf("got %t, %v", runs, err)
		}
	})
}

// TestInitCounts: where no file is waited for, a system counts that goes on for a while after
// its init has begun, and no other one.
func TestInitCounts(t *testing.T) {
	onTrial := slots.State{Good: slots.A, Trial: slots.B, Left: 2}
	for name, test := range map[string]struct {
		begins bool
		want   slots.State
	}{
		"it begins":     {true, slots.Accepted(slots.B)},
		"it never does": {false, slots.State{Good: slots.A, Trial: slots.B, Failure: slots.Silent}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t, onTrial)
			synctest.Test(t, func(t *testing.T) {
				begun := make(chan struct{})
				if test.begins {
					time.AfterFunc(time.Minute, func() { close(begun) })
				}
				if runs, err := trial.Watch(t.Context(), d, begun, "", trial.Patience, trial.Settle); runs != test.begins || errors.Is(err, trial.ErrNotBegun) == test.begins {
					t.Errorf("got %t, %v", runs, err)
				}
			})
			if got := stateOf(t, d); got != test.want {
				t.Errorf("the state is %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestMirrors: both disks of a mirror are told, also when one of them is gone.
func TestMirrors(t *testing.T) {
	onTrial := slots.State{Good: slots.A, Trial: slots.B, Left: 2}
	for name, test := range map[string]struct {
		other slots.State
		gone  bool
		want  slots.State
	}{
		"both":                       {onTrial, false, slots.Accepted(slots.B)},
		"only one has counted":       {slots.State{Good: slots.A, Trial: slots.B, Left: 3}, false, slots.Accepted(slots.B)},
		"the other says so already":  {slots.Accepted(slots.B), false, slots.Accepted(slots.B)},
		"the other one is not there": {onTrial, true, onTrial},
	} {
		t.Run(name, func(t *testing.T) {
			d, other := newDisk(t, onTrial), newDisk(t, test.other)
			if d.Mirror = other.File; test.gone {
				d.Mirror += ".gone"
			}
			synctest.Test(t, func(t *testing.T) {
				begun := make(chan struct{})
				close(begun)
				runs, err := trial.Watch(t.Context(), d, begun, "", trial.Patience, trial.Settle)
				half, onOne := errors.AsType[*trial.OneDiskError](err)
				if !runs || (err != nil) != test.gone || onOne != test.gone || onOne && (half.Done != d.File || half.Failed != d.Mirror) {
					t.Errorf("got %t, %v", runs, err)
				}
			})
			if got := stateOf(t, d); got != slots.Accepted(slots.B) {
				t.Errorf("the state of the disk is %+v", got)
			}
			if got := stateOf(t, other); got != test.want {
				t.Errorf("the state of the other disk is %+v, want %+v", got, test.want)
			}
		})
	}
}
