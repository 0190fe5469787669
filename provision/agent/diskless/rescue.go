package diskless

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"cloudlets/images/bytesize"
	"cloudlets/images/pack"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/process1"
	"cloudlets/provision/rescue"
	"cloudlets/provision/wire"
)

// rescuer starts a rescue system. There is no plan, and nothing here opens a disk to
// write.
type rescuer struct{ Machine }

// StartRescue starts a rescue system. It returns only with an error, which the server is
// told.
func StartRescue(ctx context.Context, m Machine) error {
	r := rescuer{m}
	err := r.run(ctx)
	r.tell(ctx, "", err)
	return fmt.Errorf("start the rescue system: %w", err)
}

func (r rescuer) run(ctx context.Context) error {
	told, err := r.ask(ctx)
	if err != nil {
		return err
	}
	if err := r.unpack(ctx, told); err != nil {
		return err
	}
	shell, err := rescue.FindShell(process1.NewRoot)
	if err != nil {
		return fmt.Errorf("%s: %w", told.Image, err)
	}
	system := rescue.System{
		Name: told.Hostname, Image: told.Image, Shell: shell, SSHKeys: told.SSHKeys, Log: r.Log,
		Say: func(format string, args ...any) {
			r.Say(format, args...)
			r.tell(ctx, fmt.Sprintf(format, args...), nil)
		},
	}
	if _, err := r.Disks(); err != nil { // even if they are not mounted, they shall be there
		return fmt.Errorf("find the disks: %w", err)
	}
	if told.Mount {
		if system.Mounted, err = r.mount(); err != nil {
			return err
		}
	}
	if system.Resolver, err = os.ReadFile("/etc/resolv.conf"); err != nil {
		r.Log.Warn("the rescue system knows no name servers", "error", err)
	}
	if err := process1.ChangeRoot(process1.NewRoot); err != nil {
		return err
	}
	return system.Run(ctx)
}

// ask asks the server what to start.
func (r rescuer) ask(ctx context.Context) (told wire.Rescue, err error) {
	text, err := r.Server.Post(ctx, wire.RescuePath, wire.RescueRequest{Token: r.Params.Token, MAC: r.Params.MAC})
	if err == nil {
		err = json.Unmarshal(text, &told)
	}
	if err == nil {
		err = r.Server.AddServers(told.Servers...)
	}
	if err != nil {
		return told, fmt.Errorf("ask %s what to start: %w", r.Server.Base, err)
	}
	return told, nil
}

// unpack puts the image's files into memory, if there is room for them.
func (r rescuer) unpack(ctx context.Context, told wire.Rescue) error {
	source := &pack.HTTP{
		URL: r.Server.Base + told.Pack.Path, Client: r.Server.HTTP, Digest: told.Pack.Digest, Logger: r.Log, Retry: pack.Retry{Patience: client.Patience},
	}
	toc, err := pack.Fetch(ctx, source, pack.Ref{Digest: told.Pack.Digest, Size: told.Pack.Size})
	if err != nil {
		return fmt.Errorf("image %s: %w", told.Image, err)
	}
	needs := rescue.Needs(toc.Info())
	if err := rescue.CheckMemory(told.Image, needs, "/proc/meminfo"); err != nil {
		return err
	}
	r.Say("unpacking %s into memory, %s", told.Image, bytesize.Decimal(needs))
	if err := os.MkdirAll(process1.NewRoot, 0o755); err != nil {
		return err
	}
	// Without these words it takes half of the memory, and half as many files as pages.
	if err := unix.Mount("rescue", process1.NewRoot, "tmpfs", 0, "mode=755,size=100%,nr_inodes=0"); err != nil {
		return fmt.Errorf("make a filesystem in memory: %w", err)
	}
	_, err = pack.Extract(ctx, source, toc, process1.NewRoot, pack.ExtractOptions{Logger: r.Log})
	return err
}

// mount mounts the disks below the new root's /mnt. What the image has there is hidden.
func (r rescuer) mount() ([]string, error) {
	for _, name := range rescue.Filesystems() {
		r.Drivers.LoadNamed(name)
	}
	at := filepath.Join(process1.NewRoot, "mnt")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount("mnt", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=1m"); err != nil {
		return nil, fmt.Errorf("make room for the disks at /mnt: %w", err)
	}
	lines, err := rescue.MountDisks(os.DirFS("/sys"), at)
	for _, line := range lines {
		r.Say("%s", line)
	}
	return lines, err
}

// tell tells the server how the rescue goes on. The machine goes on without an answer.
func (r rescuer) tell(ctx context.Context, text string, failure error) {
	said := wire.RescueRequest{Token: r.Params.Token, MAC: r.Params.MAC, Text: text}
	if failure != nil {
		said.Failure = failure.Error()
	}
	if err := r.Server.Tell(ctx, wire.RescueSaidPath, said); err != nil {
		r.Log.Warn("the server was not told how the rescue goes on", "error", err)
	}
}
