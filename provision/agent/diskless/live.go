// Package diskless starts systems in a machine's memory: its live system, whose root a
// process of its own reads from the server as it is needed ([StartLive], [FetchRoot]), and a
// rescue system ([StartRescue]). Nothing is installed: disks are read, or mounted for what a
// system keeps.
package diskless

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/boot"
	"cloudlets/images/bytesize"
	"cloudlets/images/disk"
	"cloudlets/images/pack"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/agent/inspect"
	"cloudlets/provision/hardware"
	"cloudlets/provision/kmod"
	"cloudlets/provision/live"
	"cloudlets/provision/netroot"
	"cloudlets/provision/preinit"
	"cloudlets/provision/process1"
	"cloudlets/provision/uplink"
	"cloudlets/provision/wire"
)

// Machine is the machine whose system starts in memory, once it has a network.
type Machine struct {
	Params wire.Params
	// Server is asked what to start, and told how that goes on.
	Server  *client.Client
	Drivers *kmod.Loader
	// Network is the interface by which the servers are reached.
	Network *uplink.Link
	// Disks returns the machine's disks, once they have settled. It is called once at most.
	Disks func() ([]provision.DiskInfo, error)
	// Say shows a line to a person in front of the machine.
	Say func(format string, args ...any)
	Log *slog.Logger
}

// liver starts a machine's own system in memory.
type liver struct{ Machine }

// StartLive starts the machine's own system, whose root is fetched from the server as it is
// read. It returns only with an error, which the server is told.
func StartLive(ctx context.Context, m Machine) error {
	l := liver{m}
	told, err := l.ask(ctx)
	if err == nil {
		err = l.run(ctx, told)
		l.tell(ctx, told, "", err)
	}
	return fmt.Errorf("start the system in memory: %w", err)
}

func (l liver) run(ctx context.Context, told wire.Live) error {
	if err := checkLiveKernel(told); err != nil {
		return err
	}
	room, err := liveRoom(told, "/proc/meminfo")
	if err != nil {
		return err
	}
	if err := l.Drivers.LoadAll(ctx, append([]string{"nbd"}, live.Modules...)...); err != nil {
		return fmt.Errorf("load drivers: %w", err)
	}
	cmdline, err := process1.Cmdline()
	if err != nil {
		return err
	}
	device, err := netroot.Start(rootOrder{
		Params: l.Params, SaidToken: told.SaidToken, Servers: told.Servers, Root: told.Root, Chunks: told.Chunks, Interface: l.Network.Name, Quiet: readAheadAfter(cmdline),
	})
	if err != nil {
		return err
	}
	l.Say("the root of %s, %s, is %s, and comes from the server as it is read", told.Image, bytesize.Decimal(told.Root.Size), device)
	if err := live.Mount(device, process1.NewRoot, room); err != nil {
		return err
	}
	if err := l.configure(ctx, told); err != nil {
		return err
	}
	persistent, err := l.findPersistent(ctx, told)
	if err != nil {
		return err
	}
	if err := process1.CheckProgram(process1.NewRoot, told.Init); err != nil {
		return err
	}
	if err := process1.ChangeRoot(process1.NewRoot); err != nil {
		return err
	}
	if persistent != "" {
		if err := preinit.MountPersistent(ctx, persistent, told.Places, l.Say); err != nil {
			return err
		}
	}
	l.Say("starting %s of %s", told.Init, told.Image)
	return process1.StartInit(told.Init)
}

// checkLiveKernel refuses a root with the modules of another kernel than the one that runs.
func checkLiveKernel(told wire.Live) error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("ask for the kernel's version: %w", err)
	}
	if running := unix.ByteSliceToString(name.Release[:]); running != told.Kernel {
		return fmt.Errorf("kernel %s runs, and %s has %s: the image was changed meanwhile", running, told.Image, told.Kernel)
	}
	return nil
}

// readAheadAfter is for how long nobody must have read anything new before the rest of the
// root is fetched; 0 if the command line does not say it.
func readAheadAfter(cmdline string) (quiet time.Duration) {
	for _, word := range boot.KernelWords(cmdline) {
		if text, ok := strings.CutPrefix(word, wire.ReadAheadWord); ok {
			if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
				quiet = max(time.Duration(seconds)*time.Second, 1)
			}
		}
	}
	return quiet
}

// ask asks the server what to start. It tells the machine's hardware, as far as that is
// known without waiting for disks: a machine in memory may have none.
func (l liver) ask(ctx context.Context) (told wire.Live, err error) {
	sys := os.DirFS("/sys")
	inventory, err := inspect.Inventory(sys, func() ([]provision.DiskInfo, error) { return hardware.Disks(sys) })
	if err != nil {
		return told, fmt.Errorf("look at the hardware: %w", err)
	}
	text, err := l.Server.Post(ctx, wire.LivePath, wire.LiveRequest{Token: l.Params.Token, MAC: l.Params.MAC, Nonce: rand.Text(), Inventory: inventory})
	if err == nil {
		err = json.Unmarshal(text, &told)
	}
	if err == nil {
		err = l.Server.AddServers(told.Servers...)
	}
	if err != nil {
		return told, fmt.Errorf("ask %s what to start: %w", l.Server.Base, err)
	}
	return told, nil
}

// configure writes the machine's own files over those of the image.
func (l liver) configure(ctx context.Context, told wire.Live) error {
	source := pack.Local{R: bytes.NewReader(told.Overlay)}
	overlay, err := pack.Open(bytes.NewReader(told.Overlay), int64(len(told.Overlay)))
	if err == nil {
		_, err = pack.Extract(ctx, source, overlay.TOC(), process1.NewRoot, pack.ExtractOptions{Logger: l.Log, Replace: true})
	}
	if err != nil {
		return fmt.Errorf("write the machine's own files: %w", err)
	}
	return nil
}

// findPersistent returns the device file of the partition for the persistent paths. It is ""
// if no disk has one: then they are in memory, as all else is.
func (l liver) findPersistent(ctx context.Context, told wire.Live) (string, error) {
	if len(told.Places) == 0 {
		return "", nil
	}
	disks, err := l.Disks()
	if err != nil {
		return "", fmt.Errorf("find the disks: %w", err)
	}
	file, err := persistentAmong(disks, told.Disk, persistentOn)
	if err != nil {
		return "", err
	}
	text := "what the system keeps is on " + file
	if file == "" {
		text = "no disk has a persistent partition: what the system keeps is lost when it is switched off; an install of this machine makes one"
	}
	l.Drivers.LoadNamed("ext4")
	l.Say("%s", text)
	l.tell(ctx, told, text, nil)
	return file, nil
}

// persistentAmong returns the device file of the persistent partition on one of the disks
// that suit the hints; "" if none has one. It refuses to choose between several.
func persistentAmong(disks []provision.DiskInfo, hints provision.DiskHints, find func(provision.DiskInfo) (string, error)) (string, error) {
	var files []string
	for _, d := range disks {
		if _, err := provision.SelectDisk(hints, []provision.DiskInfo{d}); err != nil {
			continue
		}
		file, err := find(d)
		if err != nil {
			return "", err
		}
		if file != "" {
			files = append(files, file)
		}
	}
	switch len(files) {
	case 0:
		return "", nil
	case 1:
		return files[0], nil
	}
	return "", fmt.Errorf("find what the system keeps: there are %d persistent partitions, %q: name the disk in the machine's file, e.g. \"disk\": {\"serial\": …}", len(files), files)
}

// persistentOn returns the device file of a disk's persistent partition; "" if it has none.
// A disk that cannot be read is an error: without what it keeps, the system would behave like
// that of a new machine.
func persistentOn(d provision.DiskInfo) (string, error) {
	f, err := os.Open(hardware.DevicePath(d.Name))
	if err != nil {
		return "", fmt.Errorf("look for a persistent partition: %w", err)
	}
	defer f.Close()
	sector, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKSSZGET)
	if err != nil {
		return "", fmt.Errorf("look for a persistent partition: ask for the sectors of %s: %w", d.Name, err)
	}
	p, err := disk.FindPersistent(f, d.Size, int64(sector))
	switch {
	case errors.Is(err, disk.ErrNoTable), errors.Is(err, disk.ErrNoPersistent):
		return "", nil // it is a disk of another kind
	case err != nil:
		return "", fmt.Errorf("disk %s: %w", d, err)
	}
	return hardware.PartitionPath(d.Name, p.Number), nil
}

func (l liver) tell(ctx context.Context, told wire.Live, text string, failure error) {
	tellLive(ctx, l.Server, l.Params.MAC, told.SaidToken, text, failure, l.Log)
}

// tellLive tells the server how the start of a system in memory goes on.
func tellLive(ctx context.Context, server *client.Client, mac provision.MAC, token, text string, failure error, log *slog.Logger) {
	said := wire.LiveRequest{Token: token, MAC: mac, Text: text}
	if failure != nil {
		said.Failure = failure.Error()
	}
	if err := server.Tell(ctx, wire.LiveSaidPath, said); err != nil {
		log.Warn("the server was not told how the start goes on", "error", err)
	}
}

// toLive is memory in bytes that a system needs beside its root to work, and leastRoom what
// its changes need at least.
const (
	toLive    = 128 << 20
	leastRoom = 64 << 20
)

// liveRoom is how many bytes the changes of a system may take. It refuses a system that does
// not fit into the memory that is left.
func liveRoom(told wire.Live, meminfo string) (int64, error) {
	available, total, err := hardware.Memory(meminfo)
	if err != nil {
		return 0, err
	}
	if room := available - told.Root.Size - toLive; room >= leastRoom {
		return room, nil
	}
	return 0, fmt.Errorf("%s takes %s of memory, and the system %s to work: this machine has %s left of %s: give it more, or make the image smaller",
		told.Image, bytesize.Decimal(told.Root.Size), bytesize.Decimal(toLive+leastRoom), bytesize.Decimal(available), bytesize.Decimal(total))
}
