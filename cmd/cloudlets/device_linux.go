package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/images"
	"cloudlets/images/bytesize"
	"cloudlets/images/disk"
	"cloudlets/images/disk/device"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/disk/vdisk"
	"cloudlets/images/target"
	"cloudlets/provision/hardware"
)

// deviceHost is what no flag changes, but a test does.
type deviceHost struct {
	policy device.Policy
	host   func() device.Host // nil is thisHost
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

// foundDevice is a device that was looked at.
type foundDevice struct {
	device.Facts
	refused []string
	err     error
}

// showList tells which devices there are.
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
		return printJSON(out, devices)
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

// find looks at all removable disks, or at all there are.
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

// isDevice says whether an output is a device, and no file.
func isDevice(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode()&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice
}

// toDevice writes a disk to a device. What can be refused is refused before
// the image is read.
func (f *diskFlags) toDevice(cmd *cobra.Command, args []string, format vdisk.Format) error {
	o, err := f.options(format)
	if err != nil {
		return err
	}
	if cmd.Flags().Changed("free") || format.Name != "raw" {
		return codedError{errors.New("a device is used whole, by the disk itself: --free, and formats other than raw, are for files"), exitUsage}
	}
	host := f.device.onHost()
	facts, err := host.Look(f.out.out)
	if err != nil {
		return err
	}
	if err := f.device.policy.Check(facts, o.Size); err != nil {
		return fmt.Errorf("%w; `cloudlets disk --list --all` shows what there is", err)
	}
	consent, err := f.device.consent(cmd, f.dryRun)
	if err != nil {
		return err
	}
	if o.Keep, err = f.outlive.kept(facts); err != nil {
		return err
	}
	o.Size, o.Sector, o.Stale, o.Round = facts.Capacity(), facts.Sector, true, nil
	o.Grow = false // it is used whole
	return f.image.onImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
		return f.config.onSystem(cmd, im, "disk", func(s target.System) error {
			return f.makeOnDevice(cmd, s, format, o, func(what string, size int64) (*device.Armed, error) {
				return device.Arm(cmd.Context(), host, device.Request{Path: f.out.out, Size: size, What: what, Keep: o.Keep}, f.device.policy, consent)
			})
		})
	})(cmd, args)
}

// kept finds the partition of a device that is to be kept; nil is none.
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
		return nil, fmt.Errorf("%s: %w; without --keep-persistent all of it is made anew", facts.Path, err)
	}
	return &p, nil
}

// consent is how a person will agree: by a serial number given beforehand, or
// at the terminal. In a dry run nobody is asked.
func (f *deviceFlags) consent(cmd *cobra.Command, dryRun bool) (device.Consent, error) {
	switch {
	case f.yes && f.serial == "":
		return nil, codedError{errors.New("--yes needs --serial, the serial number of the device that is meant, since names like /dev/sdb change: see `cloudlets disk --list`"), exitUsage}
	case f.yes:
		return device.BySerial(f.serial), nil
	case !dryRun && !isTerminal(cmd.ErrOrStderr()):
		return nil, codedError{errors.New("there is no terminal on which to confirm what will be lost: give --yes and --serial, the serial number of the device that is meant"), exitUsage}
	}
	return device.Typed{Serial: f.serial}, nil
}

// makeOnDevice plans the disk, has the device armed, and writes it.
func (f *diskFlags) makeOnDevice(cmd *cobra.Command, s target.System, format vdisk.Format, o target.Options, arm func(string, int64) (*device.Armed, error)) error {
	d, err := target.NewDisk(cmd.Context(), s, o)
	if err != nil {
		return err
	}
	loaders, err := f.loaders(cmd.Context(), s, d, o)
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
		return codedError{err, exitInterrupted}
	}
	if err != nil {
		return err
	}
	return f.tellWritten(cmd, s, d, format, result)
}

// writeDevice shows how far the writing is, and then the reading back.
func (f *diskFlags) writeDevice(cmd *cobra.Command, armed *device.Armed, d *target.Disk, loaders disk.Loaders) (device.Result, error) {
	stage := device.Writing
	show := newProgress(cmd.ErrOrStderr(), "writing "+f.out.out, d.Estimate())
	defer func() { show.end() }()
	content := device.Content{Layout: d.Layout, Write: func(ctx context.Context, w sparse.Writer) error { return d.Write(ctx, w, loaders) }}
	return armed.Write(cmd.Context(), content, device.Options{NoVerify: f.device.noVerify, Progress: func(now device.Stage, bytes, total int64) {
		if now != stage && now == device.Verifying {
			show.end()
			show = newProgress(cmd.ErrOrStderr(), "verifying "+f.out.out, total)
			stage = now
		}
		if now == stage {
			show.add(bytes)
		}
	}})
}

// tellWritten says what is on the device now.
func (f *diskFlags) tellWritten(cmd *cobra.Command, s target.System, d *target.Disk, format vdisk.Format, result device.Result) error {
	if f.asJSON {
		return f.tell(cmd, s, d, format.Name)
	}
	checked := "read back and compared"
	if f.device.noVerify {
		checked = "not read back"
	}
	text := fmt.Sprintf("wrote %s: a disk of %s with %d files of %s; %s were written, and %s", f.out.out, bytesize.Decimal(d.Size()), d.Entries, s.Name, bytesize.Decimal(result.Written), checked)
	if d.Layout.Kept {
		text += "; its persistent partition is as it was"
	}
	if !result.TableRead {
		text += "; plug it in again before you look at it here"
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}
