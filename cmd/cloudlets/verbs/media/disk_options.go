package media

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/images"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/manifest"
	"cloudlets/images/target"
)

// diskOptions are what a person asked for when a disk with two slots was made or updated.
// They are recorded in the slot, at [images.DiskOptionsPath], and the next update asks for
// the same.
//
// The record of the applied configuration would not do for that: it is complete, and the
// defaults of one version of the image are not to bind the next one.
type diskOptions struct {
	Config  manifest.Config `json:"config"`
	Entry   string          `json:"entry,omitempty"`
	Cmdline string          `json:"cmdline,omitempty"`
}

// recordOptions adds to a system the record of what was asked for.
func (f *diskFlags) recordOptions(cmd *cobra.Command, s target.System) (target.System, error) {
	c, err := f.config.Load(cmd)
	if err != nil {
		return s, err
	}
	text, err := json.MarshalIndent(diskOptions{c, f.entry, f.cmdline}, "", " ")
	if err != nil {
		return s, fmt.Errorf("record the options of the disk: %w", err)
	}
	e := images.Entry{Path: images.DiskOptionsPath, Type: images.Regular, Mode: 0o644, Size: int64(len(text))}
	return withFiles(s, images.Overlay{{Entry: e, Content: text}}), nil
}

// likeBefore asks for what was asked for when the good system was made, as far as the
// command line does not say something else.
func (f *diskFlags) likeBefore(cmd *cobra.Command, im *images.Image, on target.SlotDisk, r io.ReaderAt) error {
	before, err := readOptions(goodSlot(on, r))
	if err != nil {
		return fmt.Errorf("read how the system in slot %s was made: %w; say it with --config, --cmdline and --entry", on.State.Good, err)
	}
	if !cmd.Flags().Changed("entry") {
		f.entry = before.Entry
	}
	if !cmd.Flags().Changed("cmdline") {
		f.cmdline = before.Cmdline
	}
	if f.config.Config != "" {
		return nil
	}
	_, err = imageflags.Applied(cmd.Context(), im)
	if errors.Is(err, fs.ErrNotExist) {
		name := fmt.Sprintf("the configuration of slot %s", on.State.Good)
		text, err := json.Marshal(before.Config)
		if err != nil {
			return err
		}
		f.config.Take(name, text)
		if _, err := im.Manifest.Validate(name, text); err != nil {
			return fmt.Errorf("configure %s as before: %w; say how it is configured, with --config", im.Name, err)
		}
		return nil
	}
	if err == nil && !before.Config.IsZero() {
		f.warn(cmd, []string{fmt.Sprintf("the image is configured already, and keeps its own configuration: that of slot %s does not count", on.State.Good)})
	}
	return err
}

// readOptions reads the options from a slot. One that a server or an older version made has
// only the complete configuration.
func readOptions(slot io.ReaderAt) (o diskOptions, err error) {
	text, err := ext4.ReadFile(slot, images.DiskOptionsPath, imageflags.MaxText)
	if err == nil {
		return o, json.Unmarshal(text, &o)
	}
	if errors.Is(err, fs.ErrNotExist) {
		text, err = ext4.ReadFile(slot, images.AppliedConfigPath, imageflags.MaxText)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &o.Config)
	}
	return o, err
}
