package preinit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"cloudlets/images/disk/slots"
	"cloudlets/images/target"
	"cloudlets/provision/process1"
	"cloudlets/provision/trial"
)

// WatchName is the name under which this program watches over a system on trial.
const WatchName = "cloudlets-trial"

// panicFile is how long the kernel waits after a panic before it starts the machine again,
// in seconds. With 0 it waits for a person.
const panicFile = "/proc/sys/kernel/panic"

// watchTrial starts a process that watches over the system, if that is on trial. The process
// outlives this one, whose place the image's own init takes.
//
// Hold must stay open while this process prepares the system.
func (s starter) watchTrial(params Params) (hold *os.File, err error) {
	if !params.Trial {
		return nil, nil
	}
	if wait, err := os.ReadFile(panicFile); err == nil && strings.TrimSpace(string(wait)) == "0" {
		if err := os.WriteFile(panicFile, []byte("10"), 0); err != nil {
			s.say("a panic of the kernel will not start the machine again: %v", err)
		}
	}
	// Where /run is on the disk, the file may be there from an earlier start.
	if err := os.Remove(trial.RunningFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("watch over the trial of this system: %w", err)
	}
	d, err := SlotOf("/")
	if err != nil {
		return nil, fmt.Errorf("watch over the trial of this system: %w", err)
	}
	out, err := os.OpenFile("/dev/console", os.O_WRONLY, 0)
	if err != nil {
		out = nil // it is silent then
	}
	defer out.Close()
	begun, end, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("watch over the trial of this system: %w", err)
	}
	defer begun.Close()
	// The other end is closed when the init is started in this program's place.
	process, err := os.StartProcess(target.PreinitPath, watchArgs(d, params), &os.ProcAttr{Dir: "/", Files: []*os.File{begun, out, out}})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch over the trial of this system: %w", err), end.Close())
	}
	return end, process.Release()
}

// watchArgs are the words by which the other process is told what to do. It cannot find
// out by itself: what this one mounted for that is soon gone.
func watchArgs(d trial.Disk, p Params) []string {
	return []string{WatchName, d.File, d.Mirror, fmt.Sprint(d.ESP), fmt.Sprint(d.Sector), string(d.Slot), p.Patience.String(), p.Settle.String(), p.Running}
}

func parseWatchArgs(args []string) (d trial.Disk, p Params, err error) {
	if len(args) != 8 {
		return d, p, fmt.Errorf("want two disks, two numbers, a slot, two times and a file, have %q", args)
	}
	d.File, d.Mirror, args = args[0], args[1], args[1:]
	d.Slot = slots.Name(args[3])
	var errs [4]error
	d.ESP, errs[0] = strconv.ParseInt(args[1], 10, 64)
	d.Sector, errs[1] = strconv.ParseInt(args[2], 10, 64)
	p.Patience, errs[2] = time.ParseDuration(args[4])
	p.Settle, errs[3] = time.ParseDuration(args[5])
	p.Running = args[6]
	return d, p, errors.Join(errs[:]...)
}

// WatchMain is the process that [starter.watchTrial] starts.
func WatchMain(args []string) {
	say := func(format string, args ...any) { fmt.Printf("cloudlets: "+format+"\n", args...) }
	d, p, err := parseWatchArgs(args)
	if err != nil {
		say("this system is on trial, and nobody watches over that: %v", err)
		return
	}
	begun := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // it ends when the init begins
		close(begun)
	}()
	runs, err := trial.Watch(context.Background(), d, begun, p.Running, p.Patience, p.Settle)
	half, onOne := errors.AsType[*trial.OneDiskError](err)
	switch {
	case runs && onOne:
		say("this system is accepted on %s, and not on %s: %v", half.Done, half.Failed, half.Err)
	case runs && err == nil:
		say("this system is accepted: its trial has ended well")
	case runs:
		say("this system runs, and stays on trial: %v", err)
	default:
		if err != nil {
			say("%v", err)
		}
		say("this system did not say that it runs: the machine starts again, with the one before")
		say("%v", process1.Reboot())
	}
}

// SlotOf returns the disk and the slot that a directory is on. It is an error if that is
// not a slot of a disk with two.
func SlotOf(dir string) (trial.Disk, error) {
	d, err := diskOf(dir)
	if err != nil {
		return trial.Disk{}, err
	}
	number, err := d.partitionOf(dir)
	if err != nil {
		return trial.Disk{}, err
	}
	l, err := d.layout()
	if err != nil {
		return trial.Disk{}, err
	}
	for _, name := range []slots.Name{slots.A, slots.B} {
		if l.In(name).Root.Number == number {
			return trial.Disk{File: d.file, Mirror: d.mirror, ESP: l.ESP.Offset, Sector: d.sector, Slot: name}, nil
		}
	}
	return trial.Disk{}, errors.New("it is on no slot of its disk")
}

// trialTime reads a word with a number of seconds.
func trialTime(word, name string, to *time.Duration) bool {
	text, ok := strings.CutPrefix(word, name)
	if !ok {
		return false
	}
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		*to = time.Duration(n) * time.Second
	}
	return true
}
