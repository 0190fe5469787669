//go:build long

package bed_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
	"cloudlets/images/disk/disktest"
	"cloudlets/images/disk/slots"
	"cloudlets/testdata/bed"
	"cloudlets/testdata/powercut"
)

// environment is the number that an environment variable says, or another one.
func environment(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s is %q, want a number", variable, text)
	}
	return n
}

// Of so many power cuts, the machine starts by UEFI after one, and is cut a second time
// during its start after another one.
const (
	oneByUEFI  = 8
	oneIsTwice = 8
)

// TestLongPowerCuts cuts the power at random moments of updates, and starts the machine
// after each from what its disk has then. CLOUDLETS_TEST_CUTS says how many times, and
// CLOUDLETS_TEST_SEED what is random. What the machine wrote differs a little from one run
// to the next, so the disk of a start that fails is kept; CLOUDLETS_TEST_CUT_DISK starts
// it again.
func TestLongPowerCuts(t *testing.T) {
	t.Parallel()
	seed := environment(t, "CLOUDLETS_TEST_SEED", rand.Uint64()%1e6)
	n := int(environment(t, "CLOUDLETS_TEST_CUTS", 200))
	t.Logf("CLOUDLETS_TEST_SEED=%d CLOUDLETS_TEST_CUTS=%d", seed, n)
	if kept := os.Getenv("CLOUDLETS_TEST_CUT_DISK"); kept != "" {
		for _, firmware := range []bed.Firmware{bed.BIOS, bed.UEFI} {
			t.Run(string(firmware), func(t *testing.T) {
				made := newVersions(t, "first", "second", "third")
				file := filepath.Join(scratch(t), "disk.img")
				if err := copyDisk(kept, file, 0, diskSize); err != nil {
					t.Fatal(err)
				}
				made.starts(t, file, firmware, []string{"first", "second", "third"}, rand.New(rand.NewPCG(seed, 0)))
			})
		}
		return
	}
	p := updates(t, bed.BIOS, "52:54:00:00:08:03", false)
	p.installsWhole(t, 200, seed)
	p.survives(t, 1000, seed)
	for i, c := range p.cuts(t, n, seed) {
		firmware := bed.BIOS
		if i%oneByUEFI == oneByUEFI-1 {
			firmware = bed.UEFI
		}
		t.Run(fmt.Sprintf("%d at %s", i, c), func(t *testing.T) {
			t.Parallel()
			f := p.restore(t, scratch(t), c, 0, p.disk.Size())
			keepIfFailed(t, f.Name())
			may := p.may(c.At)
			r := rand.New(rand.NewPCG(c.Seed, seed))
			if i%oneIsTwice == oneIsTwice/2 {
				f = cutAgain(t, f, firmware, r)
			}
			p.versions.starts(t, f.Name(), firmware, may, r)
		})
	}
}

// keepIfFailed keeps a disk as it is now, if the test fails. Disks have holes.
func keepIfFailed(t *testing.T, file string) {
	t.Helper()
	before := filepath.Join(scratch(t), "before.img")
	if err := copyDisk(file, before, 0, diskSize); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		kept := filepath.Join(os.TempDir(), fmt.Sprintf("cloudlets-power-cut-%d-%d.img", os.Getpid(), time.Now().UnixNano()))
		if err := copyDisk(before, kept, 0, diskSize); err != nil {
			t.Error(err)
		}
		t.Logf("the disk is kept: CLOUDLETS_TEST_CUT_DISK=%s starts it again", kept)
	})
}

// copyDisk copies a part of a disk's file without its holes.
func copyDisk(from, to string, off, length int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	return errors.Join(powercut.Copy(out, in, off, length), out.Close())
}

// cutAgain starts a machine, and ends it for real while it comes up. It returns the disk as
// it may be then.
func cutAgain(t *testing.T, f *os.File, firmware bed.Firmware, r *rand.Rand) *os.File {
	t.Helper()
	p := newTapeOn(t, nil, f.Name())
	p.layout(t)
	d := p.disk
	ctx, stop := context.WithTimeout(t.Context(), smallPatience)
	defer stop()
	served := serveDisk(t, d)
	const most = 20 // a start has about as many, as reads are no requests of the log
	cut := d.CutAt(r.IntN(most))
	m := bootAlone(ctx, t, bed.Spec{MAC: "52:54:00:00:08:04", Firmware: firmware, LocalOnly: true, Disks: []bed.Disk{served}})
	killAt(ctx, t, m, cut, `node1 login: `)
	c := powercut.Cut{At: d.Requests() - 1, Seed: r.Uint64()}
	t.Logf("the machine was ended at request %s of its start", c)
	again, err := os.Create(filepath.Join(scratch(t), "again.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	if err := d.Restore(again, c, 0, d.Size()); err != nil {
		t.Fatal(err)
	}
	return again
}

// killAt ends a machine when its power is cut, or when it has printed something, which it
// may do before.
func killAt(ctx context.Context, t *testing.T, m *bed.Machine, cut <-chan struct{}, text string) {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	printed := make(chan error, 1)
	go func() {
		_, err := m.Console.Expect(ctx, regexp.MustCompile(text), broken...)
		printed <- err
	}()
	select {
	case <-cut:
		stop()
		m.Kill()
		<-printed
	case err := <-printed:
		if err != nil {
			t.Fatal(err)
		}
		m.Kill()
	}
}

// starts starts a machine from its own disk. One of the versions that it may have comes up,
// with what is persistent. On trial, it is accepted after that, or falls back, as r says.
// In the end one slot is good, no trial goes on, and the version that ran is whole.
func (v versions) starts(t *testing.T, file string, firmware bed.Firmware, may []string, r *rand.Rand) {
	t.Helper()
	before, _ := slotsOf(t, file)
	ctx, stop := context.WithTimeout(t.Context(), smallPatience)
	defer stop()
	m := bootAlone(ctx, t, bed.Spec{MAC: "52:54:00:00:08:04", Firmware: firmware, LocalOnly: true, Disks: []bed.Disk{{File: file}}})
	comesUp := func(times int) (name string) {
		t.Helper()
		const words = `node1: (\w+) \(Linux`
		expectNoPrompt(ctx, t, m, fmt.Sprintf(`(?s)(%s.*node1 login: .*){%d}`, words, times))
		all := regexp.MustCompile(words).FindAllStringSubmatch(m.Console.Text(), -1)
		return all[len(all)-1][1]
	}
	enters := func(line, answer string) {
		t.Helper()
		if err := m.Console.Type(line + "\n"); err != nil {
			t.Fatal(err)
		}
		expectNoPrompt(ctx, t, m, answer)
	}
	name := comesUp(1)
	if !slices.Contains(may, name) {
		t.Errorf("version %q comes up, and may be one of %q; the slots' state was %+v", name, may, before)
	}
	logIn(ctx, t, m)
	enters("cat notes", `what the image has\r?\nwhat was added`)
	onTrial := before.Trial.Valid() && before.Left > 0
	accepts := r.IntN(3) > 0
	switch {
	case !onTrial:
	case accepts:
		enters("mkdir -p /run/cloudlets; touch /run/cloudlets/running", `cloudlets: this system is accepted`)
	default:
		expectNoPrompt(ctx, t, m, `did not say that it runs`)
		if old := comesUp(2); old == name {
			t.Errorf("version %q was silent, and comes up again", name)
		} else {
			name = old
		}
	}
	m.Kill()
	after, l := slotsOf(t, file)
	if after.Trial.Valid() && after.Left > 0 || onTrial && accepts && after != slots.Accepted(before.Trial) || onTrial && !accepts && after.Good != before.Good {
		t.Errorf("the slots' state was %+v, and is %+v in the end", before, after)
	}
	for part, want := range map[disk.Partition]func(string) (string, error){
		l.In(after.Good).Root: func(dir string) (string, error) {
			has, err := v.wantWhole(dir)
			if err == nil && has != name {
				err = fmt.Errorf("version %q came up, and the good slot has %q", name, has)
			}
			return has, err
		},
		l.Persistent: wantNotes,
	} {
		alone := filepath.Join(scratch(t), "partition")
		if err := copyDisk(file, alone, part.Offset, part.Size); err != nil {
			t.Fatal(err)
		}
		dir, done := disktest.Mount(t, alone, "ext4", unix.MS_RDONLY)
		if _, err := want(dir); err != nil {
			t.Errorf("partition %d: %v", part.Number, err)
		}
		done()
	}
	t.Logf("%s: version %s, on trial %v, accepted %v", firmware, name, onTrial, onTrial && accepts)
}

// expectNoPrompt waits for a machine to print something that is not the prompt of GRUB, or
// of the firmware.
func expectNoPrompt(ctx context.Context, t *testing.T, m *bed.Machine, want string) {
	t.Helper()
	stuck := append([]*regexp.Regexp{regexp.MustCompile(`grub(?: rescue)?> `), regexp.MustCompile(`No bootable device`), regexp.MustCompile(`Shell> `)}, broken...)
	if _, err := m.Console.Expect(ctx, regexp.MustCompile(want), stuck...); err != nil {
		t.Fatal(err)
	}
}

// slotsOf returns the state of a disk's slots, and its layout.
func slotsOf(t *testing.T, file string) (slots.State, disk.Layout) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := disk.FindSlots(f, diskSize, powercut.Sector)
	if err != nil {
		t.Fatal(err)
	}
	state, err := slots.Read(f, l.ESP.Offset)
	if err != nil {
		t.Fatal(err)
	}
	return state, l
}
