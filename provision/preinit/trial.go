package preinit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"cloudlets/images/disk"
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

// watch starts a process that watches over the system, if that is on trial. The process
// outlives this one, whose place the image's own init takes.
func (s starter) watch(params Params) error {
	if !params.Trial {
		return nil
	}
	if wait, err := os.ReadFile(panicFile); err == nil && strings.TrimSpace(string(wait)) == "0" {
		if err := os.WriteFile(panicFile, []byte("10"), 0); err != nil {
			s.say("a panic of the kernel will not start the machine again: %v", err)
		}
	}
	// Where /run is on the disk, the file may be there from an earlier start.
	if err := os.Remove(trial.RunningFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("watch over the trial of this system: %w", err)
	}
	out, err := os.OpenFile("/dev/console", os.O_WRONLY, 0)
	if err != nil {
		out = nil // it is silent then
	}
	defer out.Close()
	process, err := os.StartProcess(target.PreinitPath, []string{WatchName, params.Patience.String(), params.Settle.String()}, &os.ProcAttr{
		Dir: "/", Files: []*os.File{nil, out, out},
	})
	if err != nil {
		return fmt.Errorf("watch over the trial of this system: %w", err)
	}
	return process.Release()
}

// WatchMain is the process that [starter.watch] starts. Its arguments are how long it
// waits.
func WatchMain(args []string) {
	say := func(format string, args ...any) { fmt.Printf("cloudlets: "+format+"\n", args...) }
	runs, err := watchOver(args)
	switch {
	case err != nil:
		say("this system is on trial, and nobody watches over that: %v", err)
	case runs:
		say("this system is accepted: its trial has ended well")
	default:
		say("this system did not say that it runs: the machine starts the one before again")
		err = process1.Reboot()
		say("%v", err)
	}
}

func watchOver(args []string) (bool, error) {
	if len(args) != 2 {
		return false, fmt.Errorf("want two times, have %q", args)
	}
	patience, err := time.ParseDuration(args[0])
	if err != nil {
		return false, err
	}
	settle, err := time.ParseDuration(args[1])
	if err != nil {
		return false, err
	}
	d, err := slotOf("/")
	if err != nil {
		return false, err
	}
	return trial.Watch(context.Background(), d, trial.RunningFile, patience, settle)
}

// slotOf returns the disk and the slot that a directory is on.
func slotOf(dir string) (trial.Disk, error) {
	d, err := diskOf(dir)
	if err != nil {
		return trial.Disk{}, err
	}
	number, err := d.partitionOf(dir)
	if err != nil {
		return trial.Disk{}, err
	}
	f, err := os.Open(d.file)
	if err != nil {
		return trial.Disk{}, err
	}
	defer f.Close()
	l, err := disk.FindSlots(f, d.size, d.sector)
	if err != nil {
		return trial.Disk{}, err
	}
	for _, name := range []slots.Name{slots.A, slots.B} {
		if l.In(name).Root.Number == number {
			return trial.Disk{File: d.file, ESP: l.ESP.Offset, Sector: d.sector, Slot: name}, nil
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
