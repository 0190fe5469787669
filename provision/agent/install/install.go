// Package install carries a plan out on a machine's disk. It selects the disk, fetches what
// it needs, makes partitions and filesystems, streams the image, reads back what it wrote,
// and makes the disk bootable last. An update writes the slot beside the good one; a mirror
// is two disks. It runs on any Linux, so that it can be tested and measured there.
//
// Start reading at [Run].
package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"cloudlets/images"
	"cloudlets/images/bytesize"
	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/slots"
	"cloudlets/images/pack"
	"cloudlets/images/target"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/bootorder"
	"cloudlets/provision/trial"
	"cloudlets/provision/wire"
)

// MemoryLimit is how many bytes of heap an install gets along with: what a small machine
// has left beside its RAM disk.
const MemoryLimit = 96 << 20

// Job is one install.
type Job struct {
	Plan      wire.Plan
	Inventory provision.Inventory
	// Claimed is how long it took to claim the plan, for the report.
	Claimed time.Duration
	// Server is the base URL of the plan's paths. HTTP is the client for it;
	// nil means http.DefaultClient.
	Server string
	HTTP   *http.Client
	// Target is where the root filesystem is mounted, "/newroot". It stays
	// mounted when the install succeeds.
	Target string
	// Maker is the program that makes a root filesystem other than ext4; ""
	// means the mkfs in the RAM disk.
	Maker string
	// Program is the file of the cloudlets program. It is copied to the disk
	// if the plan wants the disk's system to start with it; "" means the
	// running program.
	Program string
	// Sys is the machine's /sys; nil means "/sys".
	Sys fs.FS
	// Variables returns those of the machine's UEFI firmware, and a function that ends
	// their use. It is called if the plan asks for a boot entry, after the disk is
	// bootable. If it is nil, there are none.
	Variables func() (v bootorder.Variables, done func() error, err error)
	// Propose is called before the first write with what is to be done, and returns when
	// that may begin. Permit is called before the last write, which makes the disk
	// bootable, with what is to be done. If one of them returns an error, the install ends
	// there. One that is nil permits everything.
	Propose func(context.Context, provision.Proposal) error
	Permit  func(ctx context.Context, step string) error
	// Running is the disk that the running system was started from. Then the install
	// updates that system in place: the disk is in use, and nothing but its other slot and
	// the state of the slots is written. If it is nil, nothing may use the disk.
	Running *trial.Disk
	// Own are the disks that earlier attempts of this agent began to write; nil means
	// none. Run adds its own.
	Own *Own
	// Disks lists the disks again before the first write. If it is nil,
	// Run relies on the inventory.
	Disks func() ([]provision.DiskInfo, error)
	// Report is called with an event for each step. Log gets the details.
	// Both may be nil.
	Report func(provision.Event)
	Log    *slog.Logger
}

// Result describes the disk that an install made.
type Result struct {
	Disk provision.DiskInfo
	// Kernel is the default entry of the disk's boot menu, with its whole
	// command line.
	Kernel target.Entry
	Stats  pack.Stats
	// Undo has the machine start what it started before, for an end that no server records.
	// It is nil if that is not possible.
	Undo func() error
	// Rollback says that nothing was installed, and the system before is on trial.
	Rollback bool
	// Beside says that the disk has the system before, too, and the new one is on trial.
	Beside bool
	// Report says what was done, and how long it took.
	Report provision.Report
}

// Run carries out a plan. It selects the disk, checks that everything it
// needs is there, writes and verifies, and makes the disk bootable last. If a
// step fails after the first write, the disk is not bootable, and the error
// says what was attempted on which device. If an earlier step fails, the error
// says that nothing was written. An update leaves the system that the disk has as it is,
// whatever fails; then the Result says so, too.
func Run(ctx context.Context, job Job) (Result, error) {
	took := stopwatch{begun: time.Now().Add(-job.Claimed)}
	i, err := newInstaller(ctx, job)
	beside := Result{Beside: i.update != nil} // of an install that failed
	if err != nil {
		return beside, fmt.Errorf("%w (nothing was written)", err)
	}
	defer i.closeDisks()
	if i.plan.Rollback != "" {
		return i.rollback(ctx)
	}
	if err := i.gather(ctx); err != nil {
		return beside, fmt.Errorf("fetch what it takes: %w (nothing was written)", err)
	}
	err = i.stillTheOne()
	took.lap(provision.StageAgent)
	if err == nil {
		err = i.propose(ctx)
	}
	if err != nil {
		return beside, fmt.Errorf("%w (nothing was written)", err)
	}
	took.lap(provision.StageConfirm)
	if !i.plan.Target.Keep && i.update == nil {
		for _, m := range i.members() {
			i.Own.add(i.Sys, m.disk)
		}
	}
	for _, step := range []struct {
		stage provision.Stage
		text  string
		run   func(context.Context) error
	}{
		{provision.StagePartition, "partitioning " + i.names() + " and making filesystems", i.partition},
		{provision.StageStream, "streaming " + i.plan.Image + " to " + i.names(), i.stream},
		{provision.StageConfigure, "configuring " + i.plan.Hostname, i.configure},
		{provision.StageVerify, "reading back what was written", i.verify},
		{provision.StageBootable, "putting boot loaders on " + i.names() + " and making it bootable", i.commit},
	} {
		i.tell(provision.Event{Kind: provision.KindStage, Stage: step.stage, Text: step.text, Beside: i.update != nil, Slot: string(i.layout.Slot)})
		if err := step.run(ctx); err != nil {
			return beside, errors.Join(fmt.Errorf("%s: %w", step.text, err), i.abandon(context.WithoutCancel(ctx)))
		}
		took.lap(step.stage)
	}
	i.addBootEntry()
	var undo func() error
	if i.update != nil {
		undo = func() error {
			return errors.Join(Unmount(i.Target), i.stopArrays(context.WithoutCancel(ctx)), i.undoFlip())
		}
	}
	return Result{Undo: undo, Disk: i.disk, Kernel: i.kernel, Stats: i.stats, Beside: i.update != nil, Report: provision.Report{
		Copied: i.stats.Copied, Slot: string(i.layout.Slot), Fetched: i.fetched.Load(), Written: i.stats.Bytes, Files: i.stats.Entries,
		BootPartitions: i.bootPartitions(), Stages: took.stages, Digests: []string{i.plan.Pack.Digest, i.plan.Overlay.Digest},
	}}, nil
}

// stopwatch notes how long each stage takes.
type stopwatch struct {
	begun  time.Time
	stages []provision.StageSeconds
}

// lap ends a stage and begins the next one.
func (s *stopwatch) lap(stage provision.Stage) {
	now := time.Now()
	s.stages = append(s.stages, provision.StageSeconds{Stage: stage, Seconds: now.Sub(s.begun).Seconds()})
	s.begun = now
}

// installer is the state of one install.
type installer struct {
	Job
	plan   wire.Plan
	server *client.Client
	disk   provision.DiskInfo
	device *os.File
	layout disk.Layout
	writer *disk.Installer
	// second is the other disk of a mirror; nil if there is one disk. arrays are the
	// mirrors that run, by the numbers of their partitions: their device files. away are
	// the disks that are still to be put into these, as they were away.
	second *member
	arrays map[int]string
	away   map[int]*member
	// latest is which of the two disks counts, if the other one was away, and else -1.
	// ranAlone says that the other one was changed meanwhile.
	latest   int
	ranAlone bool
	// newDisk is the name of a disk that is made from scratch, beside one of a mirror that
	// stays, or "". It becomes bootable in the end. newWhy says why: it is new, or was away.
	newDisk, newWhy string
	newIsBootable   bool
	// persistent is the filesystem of a new persistent partition; nil if the
	// disk gets none.
	persistent *ext4.Layout
	// update is the state of the disk's slots, if it has two already; then one is
	// written, and the rest of the disk stays.
	update *slots.State
	kernel target.Entry // see Result

	maker          string
	image, overlay download
	loaders        bootloader.Files
	ramdisk        []byte // of a mirror
	stats          pack.Stats
	fetched        atomic.Int64 // bytes
	mounted        bool
}

func (i *installer) tell(e provision.Event) {
	if i.Report != nil {
		e.MAC = i.plan.MAC
		i.Report(e)
	}
}

// abandon cleans up after an install that failed: it unmounts the disk and
// makes the kernel forget its partitions. It does not write a partition table.
// So the disk keeps none, or one that lists only the kept partition.
func (i *installer) abandon(ctx context.Context) error {
	var err error
	if i.mounted {
		i.mounted = false
		err = Unmount(i.Target)
	}
	err = errors.Join(err, i.stopArrays(ctx))
	if i.Running != nil {
		return err
	}
	for _, m := range i.members() {
		if ferr := forgetPartitions(m.device); ferr != nil {
			i.Log.Warn("the kernel still knows partitions of an abandoned disk", "disk", m.disk.Name, "error", ferr)
		}
	}
	return err
}

// partition clears the disk, tells the kernel of the new partitions, makes the
// filesystems, and mounts the root filesystem on i.Target.
func (i *installer) partition(ctx context.Context) error {
	if i.update != nil {
		return i.partitionUpdate(ctx)
	}
	for _, m := range i.members() {
		if err := forgetPartitions(m.device); err != nil {
			return fmt.Errorf("%s: %w", m.disk.Name, err)
		}
	}
	for _, m := range i.members() {
		if err := m.writer.Clear(ctx); err != nil {
			return fmt.Errorf("%s: %w", m.disk.Name, err)
		}
	}
	if err := i.addPartitions(); err != nil {
		return err
	}
	if err := i.makeMirrors(i.layout.Root, i.layout.Other, i.layout.Persistent); err != nil {
		return err
	}
	if err := i.makePersistent(ctx); err != nil {
		return err
	}
	return i.makeRoot(ctx)
}

// addPartitions tells the kernel of the partitions, and of no others.
func (i *installer) addPartitions() error {
	for _, m := range i.members() {
		if err := forgetPartitions(m.device); err != nil {
			return fmt.Errorf("%s: %w", m.disk.Name, err)
		}
		for _, p := range m.layout.Partitions() {
			if err := addPartition(m.device, p); err != nil {
				return fmt.Errorf("tell the kernel of partition %d of %s: %w", p.Number, m.disk.Name, err)
			}
		}
	}
	return nil
}

// makeRoot makes the root filesystem, and mounts it on i.Target.
func (i *installer) makeRoot(ctx context.Context) error {
	root, err := i.volume(ctx, i.layout.Root)
	if err != nil {
		return err
	}
	if err := i.makeFilesystem(ctx, root); err != nil {
		return err
	}
	if err := mountRoot(root, i.Target, i.plan.Target.Filesystem); err != nil {
		return err
	}
	i.mounted = true
	return nil
}

// stream puts the image's files onto the root filesystem.
func (i *installer) stream(ctx context.Context) error {
	store, done := i.store(ctx)
	defer done()
	var err error
	i.stats, err = pack.Extract(ctx, i.image.source, i.image.toc, i.Target, pack.ExtractOptions{Progress: i.progress(), Sums: &i.image.sums, Store: store, Logger: i.Log})
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%d files, %s in %s", i.stats.Entries, bytesize.Decimal(i.stats.Bytes), i.stats.Duration.Round(100*time.Millisecond))
	if i.stats.Copied > 0 {
		text += fmt.Sprintf("; %s of the pack's %s were on the disk already", bytesize.Decimal(i.stats.Copied), bytesize.Decimal(i.plan.Pack.Size))
	}
	if i.stats.Refetched > 0 {
		text += fmt.Sprintf("; %d damaged frames were fetched again", i.stats.Refetched)
	}
	i.tell(provision.Event{Kind: provision.KindLog, Text: text})
	return nil
}

// configure adds the machine's overlay to the root filesystem. If the plan has
// tasks before the system's own init, it also adds the files for them.
func (i *installer) configure(ctx context.Context) error {
	if _, err := pack.Extract(ctx, i.overlay.source, i.overlay.toc, i.Target, pack.ExtractOptions{Replace: true, Sums: &i.overlay.sums, Logger: i.Log}); err != nil {
		return fmt.Errorf("put the overlay on: %w", err)
	}
	if err := i.addPreinit(); err != nil {
		return fmt.Errorf("put what starts the system on: %w", err)
	}
	return nil
}

// verify reads the disk and compares it with both packs. It skips the image's
// files that the overlay replaced.
func (i *installer) verify(ctx context.Context) error {
	replaced := map[string]bool{}
	for _, e := range i.overlay.toc.Entries() {
		if e.Type != images.Directory {
			replaced[e.Path] = true
		}
	}
	skip := func(name string) bool { return replaced[name] }
	if err := pack.Verify(ctx, i.image.toc, i.Target, pack.VerifyOptions{Skip: skip, Sums: &i.image.sums, Progress: i.progress()}); err != nil {
		return err
	}
	return pack.Verify(ctx, i.overlay.toc, i.Target, pack.VerifyOptions{Sums: &i.overlay.sums})
}

// commit writes the boot loaders and the kernels, which were verified before,
// and then makes the disk bootable, which is the last write of all.
func (i *installer) commit(ctx context.Context) error {
	if i.plan.Target.Slots {
		return i.commitSlot(ctx)
	}
	menu, err := i.menu()
	if err != nil {
		return err
	}
	if err := i.writer.Prepare(ctx, disk.Contents{
		Loaders: i.loaders, Menu: menu, SecureBoot: i.plan.Target.SecureBoot(), Time: time.Unix(0, 0).UTC(),
	}); err != nil {
		return err
	}
	if err := syncFilesystem(i.Target); err != nil {
		return err
	}
	if err := i.permitted(ctx, "make "+i.disk.Name+" bootable"); err != nil {
		return err
	}
	return i.writer.Commit(ctx)
}

func (i *installer) permitted(ctx context.Context, step string) error {
	if i.Permit == nil {
		return nil
	}
	return i.Permit(ctx, step)
}
