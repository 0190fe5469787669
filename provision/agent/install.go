package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
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

// Install carries a plan out: it selects the disk, writes and verifies it, and
// makes it bootable as the last thing that it does. Whatever fails, the disk
// is then not bootable and the error says what was attempted on which device.
func Install(ctx context.Context, job Job) (Result, error) {
	i, err := newInstaller(job)
	if err != nil {
		return Result{}, err
	}
	defer i.close()
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

	toc, overlay *pack.TOC
	stats        pack.Stats
	mounted      bool
}

// newInstaller selects the disk and refuses what must not be written. Up to
// here nothing is changed.
func newInstaller(job Job) (*installer, error) {
	if job.Log == nil {
		job.Log = slog.New(slog.DiscardHandler)
	}
	if job.HTTP == nil {
		job.HTTP = http.DefaultClient
	}
	i := &installer{Job: job, plan: job.Plan, server: newClient(job.Server, job.Log)}
	i.server.session, i.server.http = job.Plan.Session, job.HTTP
	if len(i.plan.Kernels) == 0 {
		return nil, errors.New("the plan has no kernel to boot the disk with: the server should not have given it out")
	}
	var err error
	if i.disk, err = provision.SelectDisk(i.plan.Disk, job.Inventory.Disks); err != nil {
		return nil, err
	}
	if i.disk.Contents != "" && !i.plan.Wipe {
		return nil, fmt.Errorf("the disk %s is not empty: %s; say \"wipe\": true in machines/%s.json if all of that may be lost", i.disk, i.disk.Contents, i.plan.MAC)
	}
	return i, i.open()
}

// open opens the selected disk and lays it out.
func (i *installer) open() error {
	name := filepath.Join("/dev", i.disk.Name)
	device, err := openDisk(name)
	if err != nil {
		return fmt.Errorf("open the disk %s: %w", i.disk, err)
	}
	i.device = device
	sector, err := unix.IoctlGetInt(int(device.Fd()), unix.BLKSSZGET)
	if err != nil {
		return errors.Join(fmt.Errorf("ask %s for its sector size: %w", name, err), device.Close())
	}
	i.layout, err = disk.NewLayout(i.disk.Size, int64(sector), disk.Options{
		Arch: disk.Arch(i.Inventory.Arch), MinRoot: i.plan.RootSize,
	})
	if err != nil {
		return errors.Join(err, device.Close())
	}
	i.writer = disk.NewInstaller(device, i.layout)
	now := i.disk.Contents
	if now == "" {
		now = "empty"
	}
	i.tell(provision.Event{Kind: provision.KindLog, Text: "will write " + i.disk.String(), Reason: "it is the disk that the plan selects; on it now: " + now,
		Facts: map[string]string{"disk": i.disk.String()}})
	return nil
}

func (i *installer) tell(e provision.Event) {
	if i.Report != nil {
		e.MAC = i.plan.MAC
		i.Report(e)
	}
}

func (i *installer) close() {
	_ = i.device.Close()
}

// abandon leaves a failed install's disk as it is: without a partition table,
// and with nothing mounted.
func (i *installer) abandon() error {
	if !i.mounted {
		return nil
	}
	i.mounted = false
	if err := unix.Unmount(i.Target, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", i.Target, err)
	}
	return nil
}

// partition clears the disk, tells the kernel of the partitions to be, and
// makes the root filesystem.
func (i *installer) partition(ctx context.Context) error {
	if err := i.writer.Clear(ctx); err != nil {
		return err
	}
	if err := forgetPartitions(i.device); err != nil {
		return fmt.Errorf("forget the old partitions of %s: %w", i.disk.Name, err)
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
	i.fsUUID = uuid.NewString()
	maker := i.Maker
	if maker == "" {
		maker = makerPath(i.plan.Filesystem)
	}
	if err := makeFilesystem(ctx, maker, i.plan.Filesystem, i.fsUUID, root); err != nil {
		return err
	}
	if err := os.MkdirAll(i.Target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(root, i.Target, i.plan.Filesystem, unix.MS_NOATIME, ""); err != nil {
		return fmt.Errorf("mount %s (%s) on %s: %w", root, i.plan.Filesystem, i.Target, err)
	}
	i.mounted = true
	return nil
}

// source is where a blob of the plan that is a pack comes from.
func (i *installer) source(blob provision.Blob) (pack.Ranger, pack.Ref) {
	return &pack.HTTP{
		URL: i.server.base + blob.Path, Client: i.HTTP, Digest: blob.Digest, Logger: i.Log,
		Header: http.Header{"Authorization": {"Bearer " + i.plan.Session}},
		Retry:  pack.Retry{Patience: patience},
	}, pack.Ref{Digest: blob.Digest, Size: blob.Size}
}

// stream puts the image's files onto the root filesystem.
func (i *installer) stream(ctx context.Context) error {
	src, ref := i.source(i.plan.Pack)
	toc, err := pack.Fetch(ctx, src, ref)
	if err != nil {
		return err
	}
	i.toc = toc
	i.stats, err = pack.Extract(ctx, src, toc, i.Target, pack.ExtractOptions{Progress: i.progress(), Logger: i.Log})
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
	src, ref := i.source(i.plan.Overlay)
	overlay, err := pack.Fetch(ctx, src, ref)
	if err != nil {
		return fmt.Errorf("fetch the overlay: %w", err)
	}
	i.overlay = overlay
	if _, err := pack.Extract(ctx, src, overlay, i.Target, pack.ExtractOptions{Replace: true, Logger: i.Log}); err != nil {
		return fmt.Errorf("put the overlay on: %w", err)
	}
	loaders, err := i.fetchLoaders(ctx)
	if err != nil {
		return err
	}
	menu, err := i.menu()
	if err != nil {
		return err
	}
	return i.writer.Prepare(ctx, disk.Contents{Loaders: loaders, Menu: menu, Time: time.Unix(0, 0).UTC()})
}

func (i *installer) fetchLoaders(ctx context.Context) (disk.Loaders, error) {
	loaders := disk.Loaders{}
	for name, blob := range i.plan.BootLoaders {
		data, err := i.server.fetch(ctx, blob)
		if err != nil {
			return nil, fmt.Errorf("fetch the boot loader %s: %w", name, err)
		}
		loaders[name] = data
	}
	return loaders, nil
}

// menuTimeout is how long an installed disk's boot menu waits for a key.
const menuTimeout = time.Second

// menu reads the kernels from the disk that was just written: what boots is
// what was verified. Command lines get the root filesystem's real name.
func (i *installer) menu() (disk.Menu, error) {
	menu := disk.Menu{Timeout: menuTimeout}
	for n := range i.plan.Kernels {
		k := &i.plan.Kernels[n]
		k.Cmdline = strings.ReplaceAll(k.Cmdline, "root=auto", i.rootWord(k.Initrd != ""))
		kernel, err := disk.FilePayload(path.Join(i.Target, k.Kernel))
		if err != nil {
			return menu, err
		}
		var initrd disk.Payload
		if k.Initrd != "" {
			if initrd, err = disk.FilePayload(path.Join(i.Target, k.Initrd)); err != nil {
				return menu, err
			}
		}
		menu.Entries = append(menu.Entries, disk.Entry{
			ID: entryID(n, k.Version), Title: k.Title, Version: k.Version, Kernel: kernel, Initrd: initrd, Cmdline: k.Cmdline,
		})
	}
	return menu, nil
}

// rootWord names the root filesystem for a kernel. One that has no RAM disk
// to look at filesystems finds partitions only.
func (i *installer) rootWord(hasInitrd bool) string {
	if hasInitrd {
		return "root=UUID=" + i.fsUUID
	}
	return "root=PARTUUID=" + i.layout.Root.GUID
}

func entryID(n int, version string) string {
	return fmt.Sprintf("cloudlet-%d-%s", n, version)
}

// verify reads the disk and compares it with both packs. Files of the overlay
// take the place of the image's.
func (i *installer) verify(ctx context.Context) error {
	replaced := map[string]bool{}
	for _, e := range i.overlay.Entries() {
		if e.Type != images.Directory {
			replaced[e.Path] = true
		}
	}
	skip := func(name string) bool { return replaced[name] }
	if err := pack.Verify(ctx, i.toc, i.Target, pack.VerifyOptions{Skip: skip, Progress: i.progress()}); err != nil {
		return err
	}
	return pack.Verify(ctx, i.overlay, i.Target, pack.VerifyOptions{})
}

// commit makes the disk bootable: the last write of all.
func (i *installer) commit(ctx context.Context) error {
	if err := syncFilesystem(i.Target); err != nil {
		return fmt.Errorf("sync %s: %w", i.Target, err)
	}
	return i.writer.Commit(ctx)
}
