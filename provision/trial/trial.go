// Package trial watches over a system that was updated and is on trial, from within. It
// accepts the system once that has said that it runs and has gone on for a while, and
// has the machine start the system before if that does not come.
//
// A system that dies before this package watches over it is the boot loader's business,
// which counts how often it starts one, see [slots].
package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"cloudlets/images/disk/slots"
)

// RunningFile is the file by which a system says that it runs. The service that tells the
// server makes it when a server has answered; anything else may.
const RunningFile = "/run/cloudlets/running"

// Times that a trial takes, unless the kernel's command line says others.
const (
	// Patience is how long a system may take to say that it runs.
	Patience = 10 * time.Minute
	// Settle is how long it must go on after that.
	Settle = time.Minute
	// MaxPrepare is how long it may take before its init begins: a large persistent
	// partition is checked then, and gets its first content.
	MaxPrepare = 4 * time.Hour
	// poll is how often RunningFile is looked for.
	poll = time.Second
)

// Disk is the disk that the system was started from.
type Disk struct {
	// File is its device file.
	File string
	// Mirror is that of the other disk of a mirror, which has its EFI system partition at
	// the same place, or "".
	Mirror string
	// ESP is where its EFI system partition begins, and Sector the length of its
	// sectors, in bytes.
	ESP, Sector int64
	// Slot is that of the running system.
	Slot slots.Name
}

// ErrNotBegun means that the system's init had not begun after [MaxPrepare].
var ErrNotBegun = fmt.Errorf("the preparation of the disk took more than %s, and the system's own init has not begun", MaxPrepare)

// Watch waits until the system says that it runs, by making the file running, and accepts
// it after settle. If running is "", it is enough that the init has begun. The init begins
// when begun is closed.
//
// If the system does not say that it runs within patience after its init has begun, or if
// the init does not begin within [MaxPrepare], Watch ends the trial. It returns false then:
// the machine must be started again, whatever the error. The error wraps [ErrNotBegun] in
// the second case. The state of a system that is not on trial stays as it is.
func Watch(ctx context.Context, d Disk, begun <-chan struct{}, running string, patience, settle time.Duration) (runs bool, err error) {
	late := time.NewTimer(MaxPrepare)
	defer late.Stop()
	look := time.NewTicker(poll)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-begun:
			begun = nil
			late.Reset(patience)
			if running != "" {
				continue
			}
		case <-late.C:
			err := d.fail(slots.Silent)
			if begun != nil {
				err = errors.Join(ErrNotBegun, err)
			}
			return false, err
		case <-look.C:
			if _, err := os.Stat(running); running == "" || err != nil {
				continue
			}
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(settle):
			return true, d.accept()
		}
	}
}

func (d Disk) accept() error {
	return d.change(func(slots.State) slots.State { return slots.Accepted(d.Slot) })
}

func (d Disk) fail(why string) error {
	return d.change(func(s slots.State) slots.State {
		s.Left, s.Failure = 0, why
		return s
	})
}

// OneDiskError means that the trial ended on one disk of a mirror, whose file is Done, and that
// the other one, Failed, still has the system on trial, as it could not be written.
type OneDiskError struct {
	Done, Failed string
	Err          error
}

func (e *OneDiskError) Error() string {
	return fmt.Sprintf("the trial has ended on %s, and not on %s: %v", e.Done, e.Failed, e.Err)
}

// Unwrap returns why the other disk could not be written.
func (e *OneDiskError) Unwrap() error { return e.Err }

// change writes the state that to returns, if this slot is on trial. On a mirror it does so on
// both disks, even if one fails, and the error is a [*OneDiskError] if only one does. If power is
// cut between the two writes, the other disk still has the slot on trial. The machine may start
// from that disk: then the boot loader tries the slot again, or starts the one before, and both
// are whole.
func (d Disk) change(to func(slots.State) slots.State) error {
	if d.Mirror == "" {
		return d.changeOn(d.File, to)
	}
	other, first := d.changeOn(d.Mirror, to), d.changeOn(d.File, to)
	switch {
	case other != nil && first != nil:
		return errors.Join(other, first)
	case other != nil:
		return &OneDiskError{Done: d.File, Failed: d.Mirror, Err: other}
	case first != nil:
		return &OneDiskError{Done: d.Mirror, Failed: d.File, Err: first}
	}
	return nil
}

func (d Disk) changeOn(file string, to func(slots.State) slots.State) error {
	dev, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("end the trial of slot %s: %w", d.Slot, err)
	}
	defer dev.Close()
	now, err := slots.Read(dev, d.ESP)
	if err != nil {
		return fmt.Errorf("end the trial of slot %s: %w", d.Slot, err)
	}
	if now.Trial != d.Slot {
		return nil
	}
	return slots.Write(dev, d.ESP, d.Sector, to(now))
}
