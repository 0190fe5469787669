package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images"
	"cloudlets/images/bytesize"
	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/device"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/disk/vdisk"
	"cloudlets/images/target"
	"cloudlets/provision/hardware"
)

// deviceHost holds what a test replaces; no flag sets it.
type deviceHost struct {
	policy device.Policy
	host   func() device.Host // nil means thisHost
}

func (f *deviceFlags) onHost() device.Host {
	if f.host != nil {
		return f.host()
	}
	return thisHost()
}

// thisHost is the running system.
func thisHost() device.Host {
	sys := os.DirFS("/sys")
	return device.Host{Sys: sys, Proc: os.DirFS("/proc"), Describe: func(name string) device.Disk {
		d := hardware.Disk(sys, name)
		return device.Disk{
			Name: d.Name, Model: d.Model, Serial: d.Serial, Transport: d.Transport,
			Size: d.Size, Removable: d.Removable, ReadOnly: d.ReadOnly,
		}
	}}
}

// foundDevice is a device that was examined: what it is, why it is refused, and
// the error if it could not be examined.
type foundDevice struct {
	device.Facts
	refused []string
	err     error
}

// showList prints the devices of this computer.
func (f *deviceFlags) showList(cmd *cobra.Command) error {
	list, err := f.find()
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		devices := make([]deviceJSON, len(list))
		for i, d := range list {
			devices[i] = d.asJSON()
		}
		return printing.JSON(out, devices)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no removable disk is plugged in; --list --all shows the others")
		return err
	}
	for _, d := range list {
		if err := d.show(out); err != nil {
			return err
		}
	}
	return nil
}

// find examines the removable disks, or with --all every disk.
func (f *deviceFlags) find() (list []foundDevice, err error) {
	host := f.onHost()
	disks, err := hardware.Disks(host.Sys)
	for _, d := range disks {
		facts, err := host.Look(hardware.DevicePath(d.Name))
		if err != nil {
			facts = device.Facts{Path: hardware.DevicePath(d.Name), Disk: host.Describe(d.Name)}
		}
		if f.all || facts.Portable() {
			list = append(list, foundDevice{facts, f.policy.Refusals(facts, 0), err})
		}
	}
	return list, err
}

// deviceJSON is a device as JSON.
type deviceJSON struct {
	Device    string   `json:"device"`
	Model     string   `json:"model,omitempty"`
	Serial    string   `json:"serial,omitempty"`
	Size      int64    `json:"size"`
	Transport string   `json:"transport,omitempty"`
	Removable bool     `json:"removable"`
	Contents  string   `json:"contents"`
	Uses      []string `json:"uses,omitempty"`
	Refused   []string `json:"refused,omitempty"`
	Error     string   `json:"error,omitempty"`
}

func (d foundDevice) asJSON() deviceJSON {
	l := deviceJSON{
		Device: d.Path, Model: d.Model, Serial: d.Serial, Size: d.Size, Transport: d.Transport,
		Removable: d.Removable, Contents: d.Contents, Refused: d.refused,
	}
	for _, u := range d.Uses {
		l.Uses = append(l.Uses, u.What)
	}
	if d.err != nil {
		l.Error = d.err.Error()
	}
	return l
}

// show writes a device for a person.
func (d foundDevice) show(w io.Writer) error {
	lines := []string{d.String(), "  on it: " + d.Contents}
	if d.Transport != "" {
		lines[0] += ", " + d.Transport
	}
	if d.err != nil {
		lines[1] = "  " + d.err.Error()
	}
	for _, why := range d.refused {
		lines = append(lines, "  refused: "+why)
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

// isDevice says whether an output is a block device.
func isDevice(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode()&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice
}

// toDevice writes a disk to a device. It makes every check that needs no image
// before it reads the image.
func (f *diskFlags) toDevice(cmd *cobra.Command, args []string, format vdisk.Format) error {
	o, err := f.options(format)
	if err != nil {
		return err
	}
	if cmd.Flags().Changed("free") || format.Name != "raw" {
		return exit.With(errors.New("a device is used whole, as a raw disk: leave out --free, and every --format except raw"), exit.Usage)
	}
	host := f.device.onHost()
	facts, err := host.Look(f.out.Out)
	if err != nil {
		return err
	}
	check := f.device.policy.Check
	if f.slots.update {
		check = f.device.policy.CheckUpdate
	}
	if err := check(facts, o.Size); err != nil {
		return fmt.Errorf("%w; `cloudlets disk --list --all` shows every device", err)
	}
	consent, err := f.device.consent(cmd, f.dryRun)
	if err != nil {
		return err
	}
	if f.slots.update {
		return f.updateDevice(cmd, args, facts, consent)
	}
	if o.Keep, err = f.outlive.kept(facts); err != nil {
		return err
	}
	o.Size, o.Sector, o.Stale, o.Round = facts.Capacity(), facts.Sector, true, nil
	o.Grow = false // the disk takes the whole device already
	return f.image.OnImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
		return f.onSystem(cmd, im, func(s target.System) error {
			return f.makeOnDevice(cmd, s, format, o, func(what string, size int64) (*device.Armed, error) {
				return device.Arm(cmd.Context(), host, device.Request{Path: f.out.Out, Size: size, What: what, Keep: o.Keep}, f.device.policy, consent)
			})
		})
	})(cmd, args)
}

// updateDevice writes the other slot of a device that has two.
func (f *diskFlags) updateDevice(cmd *cobra.Command, args []string, facts device.Facts, consent device.Consent) error {
	file, err := os.Open(facts.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	on, err := target.ReadSlots(file, facts.Capacity(), facts.Sector)
	if err != nil {
		return f.slotsError(err)
	}
	return f.update(cmd, args, on, file, func(u *target.Update, write func(disk.Device) error) error {
		if err := file.Close(); err != nil {
			return err
		}
		return f.device.updateArmed(cmd.Context(), device.Request{Path: facts.Path, Size: facts.Capacity(), What: "image " + args[0], Slot: &u.Layout.Root}, consent, u.Layout, write)
	})
}

// updateArmed arms a device for an update, and has write make it.
func (f *deviceFlags) updateArmed(ctx context.Context, r device.Request, consent device.Consent, l disk.Layout, write func(disk.Device) error) error {
	armed, err := device.Arm(ctx, f.onHost(), r, f.policy, consent)
	if err != nil {
		return err
	}
	return errors.Join(armed.Update(ctx, l, write), armed.Close())
}

// kept finds the persistent partition that --keep-persistent keeps. Without the
// flag it returns nil.
func (f *outliveFlags) kept(facts device.Facts) (*disk.Partition, error) {
	if !f.keep {
		return nil, nil
	}
	file, err := os.Open(facts.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p, err := disk.FindPersistent(file, facts.Capacity(), facts.Sector)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; without --keep-persistent the whole device is written anew", facts.Path, err)
	}
	return &p, nil
}

// consent says how the user confirms that the device may be overwritten: with
// its serial number on the command line, or by typing its name at the terminal.
// A dry run does not ask.
func (f *deviceFlags) consent(cmd *cobra.Command, dryRun bool) (device.Consent, error) {
	switch {
	case f.yes && f.serial == "":
		return nil, exit.With(errors.New("--yes needs --serial with the device's serial number, since names like /dev/sdb can change; `cloudlets disk --list` shows it"), exit.Usage)
	case f.yes:
		return device.BySerial(f.serial), nil
	case !dryRun && !stdio.IsTerminal(cmd.ErrOrStderr()):
		return nil, exit.With(errors.New("there is no terminal on which to confirm that the device may be overwritten: give --yes, and --serial with its serial number"), exit.Usage)
	}
	return device.Typed{Serial: f.serial}, nil
}

// makeOnDevice plans the disk, arms the device, and writes it.
func (f *diskFlags) makeOnDevice(cmd *cobra.Command, s target.System, format vdisk.Format, o target.Options, arm func(string, int64) (*device.Armed, error)) error {
	d, err := f.plan(cmd, &s, o)
	if err != nil {
		return err
	}
	f.warn(cmd, d.Notices)
	loaders, err := f.loaders(cmd.Context(), s, d)
	if err != nil {
		return err
	}
	if f.dryRun {
		return f.tell(cmd, s, d, format.Name)
	}
	armed, err := arm("image "+s.Name, d.Size())
	if err != nil {
		return err
	}
	result, err := f.writeDevice(cmd, armed, d, loaders)
	if err = errors.Join(err, armed.Close()); errors.Is(err, device.ErrInterrupted) {
		return exit.With(err, exit.Interrupted)
	}
	if err != nil {
		return err
	}
	return f.tellWritten(cmd, s, d, format, result)
}

// writeDevice writes the disk, and shows the progress of writing and then of
// reading back.
func (f *diskFlags) writeDevice(cmd *cobra.Command, armed *device.Armed, d *target.Disk, loaders bootloader.Files) (device.Result, error) {
	stage := device.Writing
	show := stdio.NewProgress(cmd.ErrOrStderr(), "writing "+f.out.Out, d.Estimate())
	defer func() { show.End() }()
	content := device.Content{Layout: d.Layout, Write: func(ctx context.Context, w sparse.Writer) error { return d.Write(ctx, w, loaders) }}
	return armed.Write(cmd.Context(), content, device.Options{NoVerify: f.device.noVerify, Progress: func(now device.Stage, bytes, total int64) {
		if now != stage && now == device.Verifying {
			show.End()
			show = stdio.NewProgress(cmd.ErrOrStderr(), "verifying "+f.out.Out, total)
			stage = now
		}
		if now == stage {
			show.Add(bytes)
		}
	}})
}

// tellWritten prints what was written to the device.
func (f *diskFlags) tellWritten(cmd *cobra.Command, s target.System, d *target.Disk, format vdisk.Format, result device.Result) error {
	if f.asJSON {
		return f.tell(cmd, s, d, format.Name)
	}
	checked := "read back and compared"
	if f.device.noVerify {
		checked = "not read back"
	}
	text := fmt.Sprintf("wrote %s: a disk of %s with %d files of %s; %s were written, and %s", f.out.Out, bytesize.Decimal(d.Size()), d.Entries, s.Name, bytesize.Decimal(result.Written), checked)
	if d.Layout.Kept {
		text += "; its persistent partition was kept"
	}
	if !result.TableRead {
		text += "; plug it in again before you look at it here"
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}
