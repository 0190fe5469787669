package media

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images/boot"
	"cloudlets/images/bytesize"
	"cloudlets/images/source"
	"cloudlets/images/target"
)

// summary is what the verb disk prints about its result.
type summary struct {
	Out     string   `json:"out"`
	Format  string   `json:"format"`
	Size    int64    `json:"size,omitempty"`
	UUID    string   `json:"uuid,omitempty"`
	Image   string   `json:"image"`
	Entries int      `json:"entries,omitempty"`
	Kernels []string `json:"kernels,omitempty"`
	Slot    string   `json:"slot,omitempty"` // that was written: "a" or "b"
	// Compression is how the files of a live image are kept, and Because why.
	Compression string `json:"compression,omitempty"`
	Because     string `json:"because,omitempty"`
}

// tell prints the disk that was made, or that would be made in a dry run.
func (f *diskFlags) tell(cmd *cobra.Command, s target.System, d *target.Disk, format string) error {
	m := f.summary(s, format, d.Size(), d.Identity, d.Kernels)
	return f.say(cmd, m, m.text(format+" disk", s))
}

// tellISO prints the live image that was made, or that would be, and how its files are kept.
func (f *diskFlags) tellISO(cmd *cobra.Command, s target.System, i *target.ISO) error {
	m := f.summary(s, "iso", i.Size(), i.Identity, i.Kernels)
	m.Compression, m.Because = i.Compression.String(), i.Compression.Why
	return f.say(cmd, m, fmt.Sprintf("%s, compression %s, since %s", m.text("live image", s), m.Compression, m.Because))
}

func (f *diskFlags) summary(s target.System, format string, size int64, id target.Identity, kernels []boot.Kernel) summary {
	m := summary{Out: f.out.Out, Format: format, Size: size, UUID: id.ID.String(), Image: s.Name, Entries: id.Entries}
	for _, k := range kernels {
		m.Kernels = append(m.Kernels, k.Version)
	}
	return m
}

// text is a summary of a disk for a person.
func (m summary) text(kind string, s target.System) string {
	return fmt.Sprintf("%s of %s with %d files of %s, Linux %s", article(kind), bytesize.Decimal(m.Size), m.Entries, nameOf(s), strings.Join(m.Kernels, ", "))
}

// warn tells a person what could keep the result from starting.
func (f *diskFlags) warn(cmd *cobra.Command, notices []string) {
	for _, notice := range notices {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", notice)
	}
}

// say prints a summary, as text or as JSON.
func (f *diskFlags) say(cmd *cobra.Command, m summary, text string) error {
	out := cmd.OutOrStdout()
	if f.out.Out == "-" {
		out = cmd.ErrOrStderr()
	}
	if f.asJSON {
		return printing.JSON(out, m)
	}
	verb, name := "made", ""
	if f.dryRun {
		verb = "would make"
	}
	if f.out.Out != "" {
		name = filepath.Base(f.out.Out) + ": "
	}
	_, err := fmt.Fprintf(out, "%s %s%s\n", verb, name, text)
	return err
}

// nameOf is the name of a system's image for a person.
func nameOf(s target.System) string {
	if s.Name == source.Stdin {
		return "standard input"
	}
	return s.Name
}

// article puts "a" or "an" before a thing.
func article(thing string) string {
	if strings.ContainsRune("aeiou", rune(thing[0])) {
		return "an " + thing
	}
	return "a " + thing
}

// tellFiles prints what was made, for formats without a disk's size and kernels.
func (f *diskFlags) tellFiles(cmd *cobra.Command, s target.System, format string) error {
	return f.say(cmd, summary{Out: f.out.Out, Format: format, Image: s.Name}, "the files of "+nameOf(s)+" as "+format)
}
