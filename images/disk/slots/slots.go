// Package slots says which of a disk's two systems its boot loader starts.
//
// A disk with two slots has room for two versions of a system. An update writes the
// slot that does not run, and then puts the new system on trial: the boot loader
// starts it a few times, and counts. A system that is accepted while it runs becomes
// the good one. One that is not falls back: when no try is left, the boot loader
// starts the good one again, with nobody's help.
//
// All of that is in one small file on the EFI system partition, an environment block
// of GRUB. It is changed by overwriting one sector in place, so that a power cut
// leaves it as it was or as it shall be.
package slots

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"cloudlets/images/disk/fat"
)

// Name names a slot.
type Name string

// The slots.
const (
	A Name = "a"
	B Name = "b"
)

// Other returns the slot beside one.
func (n Name) Other() Name {
	if n == A {
		return B
	}
	return A
}

// Valid says whether there is such a slot.
func (n Name) Valid() bool { return n == A || n == B }

// String returns "A" or "B".
func (n Name) String() string { return strings.ToUpper(string(n)) }

// TrialWord says that a system is on trial, and TrialWords are all words that the boot loader
// adds to its kernel's command line then: after a panic the machine starts again, seconds
// later, and a RAM disk that cannot go on does not wait for a person (dracut.cmdline(7)).
const (
	TrialWord  = "cloudlets.trial"
	TrialWords = TrialWord + " panic=10 rd.shell=0 rd.emergency=reboot"
)

// Tries is how often a system on trial is started before the good one is again.
const Tries = 3

// State says which slot the boot loader starts.
type State struct {
	// Good is the slot that is started if there is no trial.
	Good Name
	// Trial is the slot on trial, or "". It stays there when it has failed, until
	// the next update.
	Trial Name
	// Left is how often Trial is still started, 0 to [Tries]. With 0 it has failed.
	Left int
	// Failure is why the trial ended, if its own system knew: "silent" if it was up
	// and nothing said that it runs. It is one word.
	Failure string
}

// Silent is the Failure of a system that came up and never said that it runs.
const Silent = "silent"

// Started returns the slot that the boot loader starts next.
func (s State) Started() Name {
	if s.Trial.Valid() && s.Left > 0 {
		return s.Trial
	}
	return s.Good
}

// Failed says whether the trial has ended and the good system is started again.
func (s State) Failed() bool { return s.Trial.Valid() && s.Left == 0 }

// Accepted returns the state in which a slot is good, and none is on trial.
func Accepted(n Name) State { return State{Good: n} }

// OnTrial returns the state in which the other slot is on trial.
func (s State) OnTrial() State { return State{Good: s.Good, Trial: s.Good.Other(), Left: Tries} }

const (
	// Path is the file on the EFI system partition.
	Path = "grub/slots"

	// blockSize is the length of GRUB's environment block, and signature its first line.
	blockSize = 1024
	signature = "# GRUB Environment Block\n"
	// maxFailure bounds the Failure of a state, in bytes.
	maxFailure = 32
	// written is what one write changes. All variables are in it.
	written = 512
)

// Variables of the block, as GRUB's menu knows them.
const (
	varGood    = "good"
	varTrial   = "trial"
	varLeft    = "left"
	varFailure = "failure"
)

// Block returns the whole file. Unused bytes are "#", as GRUB wants it.
func (s State) Block() []byte {
	b := bytes.NewBuffer(make([]byte, 0, blockSize))
	b.WriteString(signature)
	fmt.Fprintf(b, "%s=%s\n%s=%s\n%s=%d\n%s=%s\n", varGood, string(s.Good), varTrial, string(s.Trial), varLeft, s.Left, varFailure, s.Failure)
	b.Write(bytes.Repeat([]byte{'#'}, blockSize-b.Len()))
	return b.Bytes()
}

// Parse reads the file. GRUB may have written it meanwhile.
func Parse(block []byte) (State, error) {
	text, ok := strings.CutPrefix(string(block), signature)
	if !ok {
		return State{}, errors.New("read the state of the slots: it is no environment block of GRUB")
	}
	var s State
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch name {
		case varGood:
			s.Good = Name(value)
		case varTrial:
			s.Trial = Name(value)
		case varLeft:
			s.Left, _ = strconv.Atoi(value)
		case varFailure:
			if len(value) <= maxFailure { // else nobody of ours wrote it
				s.Failure = value
			}
		}
	}
	if !s.Good.Valid() || s.Trial != "" && s.Trial != s.Good.Other() || s.Left < 0 || s.Left > Tries {
		return State{}, fmt.Errorf("read the state of the slots: good is %q, on trial is %q, with %d tries left", s.Good, s.Trial, s.Left)
	}
	return s, nil
}

// Device is a disk. All accesses are in whole sectors of up to 4,096 bytes.
type Device interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// Read reads the state from the disk whose EFI system partition begins at an offset in
// bytes.
func Read(dev io.ReaderAt, esp int64) (State, error) {
	_, block, err := find(dev, esp)
	if err != nil {
		return State{}, err
	}
	return Parse(block)
}

// Write replaces the state, by one write of one sector, and returns when it is on
// stable storage. Sector is the length of the disk's sectors in bytes.
func Write(dev Device, esp, sector int64, s State) error {
	at, _, err := find(dev, esp)
	if err != nil {
		return err
	}
	whole := make([]byte, max(sector, written))
	if _, err := dev.ReadAt(whole, at); err != nil {
		return fmt.Errorf("write the state of the slots: %w", err)
	}
	copy(whole, s.Block()[:written])
	if _, err := dev.WriteAt(whole, at); err != nil {
		return fmt.Errorf("write the state of the slots: %w", err)
	}
	if err := dev.Sync(); err != nil {
		return fmt.Errorf("write the state of the slots: %w", err)
	}
	return nil
}

// find returns where the file is on the disk, and its content.
func find(dev io.ReaderAt, esp int64) (at int64, block []byte, err error) {
	r := wholePages{dev}
	off, size, err := fat.Locate(offset{r, esp}, Path)
	if err != nil {
		return 0, nil, fmt.Errorf("find the state of the slots: %w", err)
	}
	if size != blockSize {
		return 0, nil, fmt.Errorf("find the state of the slots: %s has %d bytes and not %d", Path, size, blockSize)
	}
	block = make([]byte, blockSize)
	if _, err := r.ReadAt(block, esp+off); err != nil {
		return 0, nil, fmt.Errorf("read the state of the slots: %w", err)
	}
	return esp + off, block, nil
}

// offset reads a disk from an offset on.
type offset struct {
	io.ReaderAt
	at int64
}

func (o offset) ReadAt(p []byte, off int64) (int, error) { return o.ReaderAt.ReadAt(p, o.at+off) }

// page is the length of the largest sectors that disks have, in bytes. Partitions begin at
// multiples of it.
const page = 4096

// wholePages reads any range of a disk by whole pages, which a device without the page
// cache wants.
type wholePages struct{ io.ReaderAt }

func (w wholePages) ReadAt(p []byte, off int64) (int, error) {
	before := off % page
	b := make([]byte, (before+int64(len(p))+page-1)/page*page)
	n, err := w.ReaderAt.ReadAt(b, off-before)
	n = copy(p, b[min(before, int64(n)):n])
	if n == len(p) { // a disk may end within the last page
		err = nil
	}
	return n, err
}
