package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/disk"
	"cloudlets/images/pack"
	"cloudlets/provision"
)

// Job is one install.
type Job struct {
	Plan      provision.Plan
	Inventory provision.Inventory
	// Server is the base URL that the plan's paths are relative to, and HTTP
	// speaks to it; nil is http.DefaultClient.
	Server string
	HTTP   *http.Client
	// Target is where the root filesystem is mounted, "/newroot". It stays
	// mounted when the install succeeds.
	Target string
	// Maker is the program that makes the root filesystem; "" is the mkfs
	// that the RAM disk has for it.
	Maker string
	// Sys is the machine's /sys; nil is that.
	Sys fs.FS
	// Report is told of each step; Log has the details. Both may be nil.
	Report func(provision.Event)
	Log    *slog.Logger
}

// Result is what an install left.
type Result struct {
	Disk provision.DiskInfo
	// Kernel is the default entry of the disk's boot menu, with the command
	// line that it boots with.
	Kernel provision.DiskEntry
	Stats  pack.Stats
}

// Install carries a plan out: it selects the disk, makes sure that all that it
// takes is there, writes and verifies, and makes the disk bootable as the last
// thing that it does. Whatever fails after the first write, the disk is then
// not bootable; the error says what was attempted on which device, or else
// that nothing was written.
func Install(ctx context.Context, job Job) (Result, error) {
	i, err := newInstaller(job)
	if err != nil {
		return Result{}, fmt.Errorf("%w (nothing was written)", err)
	}
	defer i.device.Close()
	if err := i.gather(ctx); err != nil {
		return Result{}, fmt.Errorf("fetch what it takes: %w (nothing was written)", err)
	}
	for _, step := range []struct {
		stage provision.Stage
		text  string
		run   func(context.Context) error
	}{
		{provision.StagePartition, "partitioning " + i.disk.Name + " and making filesystems", i.partition},
		{provision.StageStream, "streaming " + i.plan.Image + " to " + i.disk.Name, i.stream},
		{provision.StageConfigure, "configuring " + i.plan.Hostname + " and preparing the boot loaders", i.configure},
		{provision.StageVerify, "reading back what was written", i.verify},
		{provision.StageBootable, "making " + i.disk.Name + " bootable", i.commit},
	} {
		i.tell(provision.Event{Kind: provision.KindStage, Stage: step.stage, Text: step.text})
		if err := step.run(ctx); err != nil {
			return Result{}, errors.Join(fmt.Errorf("%s: %w", step.text, err), i.abandon())
		}
	}
	return Result{Disk: i.disk, Kernel: i.plan.Kernels[0], Stats: i.stats}, nil
}

// installer is the state of one install.
type installer struct {
	Job
	plan   provision.Plan
	server *client
	disk   provision.DiskInfo
	device *os.File
	layout disk.Layout
	writer *disk.Installer
	fsUUID string

	maker          string
	image, overlay download
	loaders        disk.Loaders
	stats          pack.Stats
	mounted        bool
}

// newInstaller selects the disk and refuses what must not be written.
func newInstaller(job Job) (*installer, error) {
	if job.Log == nil {
		job.Log = slog.New(slog.DiscardHandler)
	}
	if job.HTTP == nil {
		job.HTTP = http.DefaultClient
	}
	if job.Sys == nil {
		job.Sys = os.DirFS("/sys")
	}
	i := &installer{Job: job, plan: job.Plan, server: newClient(job.Server, job.Log), fsUUID: uuid.NewString()}
	i.server.session, i.server.http = job.Plan.Session, job.HTTP
	if len(i.plan.Kernels) == 0 {
		return nil, errors.New("the plan has no kernel to boot the disk with: the server should not have given it out")
	}
	i.plan.Kernels = slices.Clone(i.plan.Kernels) // their command lines will be completed
	var err error
	if i.disk, err = provision.SelectDisk(i.plan.Disk, job.Inventory.Disks); err != nil {
		return nil, err
	}
	if err := i.mayOverwrite(); err != nil {
		return nil, err
	}
	return i, i.openDisk()
}

// mayOverwrite refuses a disk with something on it, save where that may go.
func (i *installer) mayOverwrite() error {
	if i.disk.Contents == "" || i.plan.Wipe {
		return nil
	}
	return fmt.Errorf("the disk %s is not empty: %s; say \"wipe\": true in machines/%s.json if all of that may be lost", i.disk, i.disk.Contents, i.plan.MAC)
}

// openDisk opens the selected disk, looks once more at what it is, now that it
// can be no other, and lays it out.
func (i *installer) openDisk() error {
	device, err := openDisk(devicePath(i.disk.Name))
	if err != nil {
		return fmt.Errorf("open the disk %s: %w", i.disk, err)
	}
	i.device = device
	if err := i.examine(); err != nil {
		return errors.Join(err, device.Close())
	}
	i.writer = disk.NewInstaller(device, i.layout)
	now := i.disk.Contents
	if now == "" {
		now = "nothing"
	}
	i.tell(provision.Event{Kind: provision.KindLog, Text: "will write " + i.disk.String(), Reason: "it is the disk that the plan selects; on it now: " + now,
		Facts: map[string]string{"disk": i.disk.String()}})
	return nil
}

func (i *installer) examine() error {
	if err := checkSame(i.Sys, i.disk); err != nil {
		return err
	}
	i.disk.Contents = contentsOf(i.device, i.disk.Size)
	if err := i.mayOverwrite(); err != nil {
		return err
	}
	sector, err := unix.IoctlGetInt(int(i.device.Fd()), unix.BLKSSZGET)
	if err != nil {
		return fmt.Errorf("ask %s for its sector size: %w", i.disk.Name, err)
	}
	i.layout, err = disk.NewLayout(i.disk.Size, int64(sector), disk.Options{
		Arch: disk.Arch(i.Inventory.Arch), MinRoot: i.plan.RootSize,
	})
	if err != nil {
		return fmt.Errorf("the disk %s does not suit: %w", i.disk, err)
	}
	return nil
}

func (i *installer) tell(e provision.Event) {
	if i.Report != nil {
		e.MAC = i.plan.MAC
		i.Report(e)
	}
}

// abandon leaves a failed install's disk as it is: without a partition table,
// and with nothing mounted.
func (i *installer) abandon() error {
	var err error
	if i.mounted {
		i.mounted = false
		err = unmount(i.Target)
	}
	if ferr := forgetPartitions(i.device); ferr != nil {
		i.Log.Warn("the kernel still knows partitions of an abandoned disk", "disk", i.disk.Name, "error", ferr)
	}
	return err
}

// partition clears the disk, tells the kernel of the partitions to be, and
// makes the root filesystem.
func (i *installer) partition(ctx context.Context) error {
	if err := forgetPartitions(i.device); err != nil {
		return fmt.Errorf("%s: %w", i.disk.Name, err)
	}
	if err := i.writer.Clear(ctx); err != nil {
		return err
	}
	for _, p := range i.layout.Partitions() {
		if err := addPartition(i.device, p); err != nil {
			return fmt.Errorf("tell the kernel of partition %d of %s: %w", p.Number, i.disk.Name, err)
		}
	}
	root, err := waitForPartition(ctx, i.disk.Name, i.layout.Root.Number)
	if err != nil {
		return err
	}
	if err := makeFilesystem(ctx, i.maker, i.plan.Filesystem, i.fsUUID, root); err != nil {
		return err
	}
	if err := mountRoot(root, i.Target, i.plan.Filesystem); err != nil {
		return err
	}
	i.mounted = true
	return nil
}

// stream puts the image's files onto the root filesystem.
func (i *installer) stream(ctx context.Context) error {
	var err error
	i.stats, err = pack.Extract(ctx, i.image.source, i.image.toc, i.Target, pack.ExtractOptions{Progress: i.progress(), Logger: i.Log})
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%d files, %s in %s", i.stats.Entries, provision.FormatSize(i.stats.Bytes), i.stats.Duration.Round(100*time.Millisecond))
	if i.stats.Refetched > 0 {
		text += fmt.Sprintf("; %d damaged frames were fetched again", i.stats.Refetched)
	}
	i.tell(provision.Event{Kind: provision.KindLog, Text: text})
	return nil
}

// configure puts the machine's overlay on top, and prepares what boots it.
func (i *installer) configure(ctx context.Context) error {
	if _, err := pack.Extract(ctx, i.overlay.source, i.overlay.toc, i.Target, pack.ExtractOptions{Replace: true, Logger: i.Log}); err != nil {
		return fmt.Errorf("put the overlay on: %w", err)
	}
	menu, err := i.menu()
	if err != nil {
		return err
	}
	return i.writer.Prepare(ctx, disk.Contents{Loaders: i.loaders, Menu: menu, Time: time.Unix(0, 0).UTC()})
}

// verify reads the disk and compares it with both packs. Files of the overlay
// take the place of the image's.
func (i *installer) verify(ctx context.Context) error {
	replaced := map[string]bool{}
	for _, e := range i.overlay.toc.Entries() {
		if e.Type != images.Directory {
			replaced[e.Path] = true
		}
	}
	skip := func(name string) bool { return replaced[name] }
	if err := pack.Verify(ctx, i.image.toc, i.Target, pack.VerifyOptions{Skip: skip, Progress: i.progress()}); err != nil {
		return err
	}
	return pack.Verify(ctx, i.overlay.toc, i.Target, pack.VerifyOptions{})
}

// commit makes the disk bootable: the last write of all.
func (i *installer) commit(ctx context.Context) error {
	if err := syncFilesystem(i.Target); err != nil {
		return err
	}
	return i.writer.Commit(ctx)
}
