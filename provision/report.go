package provision

import (
	"fmt"
	"slices"
	"strings"

	"cloudlets/images/bytesize"
)

// Report is what an agent says of an install that ended well.
type Report struct {
	// Fetched is how many bytes came over the network, whatever had to be fetched again
	// too, and Written how many the files have that were written.
	Fetched int64 `json:"fetched"`
	Written int64 `json:"written"`
	Files   int   `json:"files"`
	// Copied is how many bytes of the image's pack were not fetched, since the system that
	// was there already has the same content.
	Copied int64 `json:"copied,omitempty"`
	// Slot is the slot that was written, "a" or "b", on a disk with two.
	Slot string `json:"slot,omitempty"`
	// BootPartitions are the GUIDs of the EFI system partitions from which the system
	// starts, one on each of its disks.
	BootPartitions []string `json:"bootPartitions,omitempty"`
	// Stages are the stages with the time that each took, in order.
	Stages []StageSeconds `json:"stages"`
	// Digests are those of the packs whose files were read back from the disk and found
	// right.
	Digests []string `json:"digests"`
}

// StageSeconds is how long a stage took.
type StageSeconds struct {
	Stage   Stage   `json:"stage"`
	Seconds float64 `json:"seconds"`
}

// Bounds of a report, since it comes from a machine.
const (
	maxReportStages  = 16
	maxReportDigests = 4
	maxReportDisks   = 2
	maxReportText    = 128 // bytes
)

// Bounded returns a copy that is cut to a bounded size and shares nothing with r.
func (r Report) Bounded() Report {
	r.Slot = Cut(r.Slot, 1)
	r.Stages = slices.Clone(r.Stages[:min(len(r.Stages), maxReportStages)])
	for i := range r.Stages {
		r.Stages[i].Stage = Stage(Cut(string(r.Stages[i].Stage), maxReportText))
	}
	r.Digests = boundedTexts(r.Digests, maxReportDigests)
	r.BootPartitions = boundedTexts(r.BootPartitions, maxReportDisks)
	return r
}

// boundedTexts returns at most n of the texts, each cut to a bounded size.
func boundedTexts(texts []string, n int) []string {
	texts = slices.Clone(texts[:min(len(texts), n)])
	for i := range texts {
		texts[i] = Cut(texts[i], maxReportText)
	}
	return texts
}

// Times says how long each stage took: "agent 0.2 s, partition 1.1 s".
func (r Report) Times() string {
	parts := make([]string, len(r.Stages))
	for i, s := range r.Stages {
		parts[i] = fmt.Sprintf("%s %.1f s", s.Stage, s.Seconds)
	}
	return strings.Join(parts, ", ")
}

func (r Report) copied() string {
	if r.Copied == 0 {
		return ""
	}
	return fmt.Sprintf(", and %s of the pack were on the disk already", bytesize.Decimal(r.Copied))
}

// String says all of it in one line.
func (r Report) String() string {
	where := ""
	if r.Slot != "" {
		where = fmt.Sprintf("slot %s; ", strings.ToUpper(r.Slot))
	}
	return fmt.Sprintf("%sfetched %s%s; %d files with %s (%s); read back: %s",
		where, bytesize.Decimal(r.Fetched), r.copied(), r.Files, bytesize.Decimal(r.Written), r.Times(), strings.Join(r.Digests, " and "))
}

func (r *Report) clone() *Report {
	c := copied(r)
	if c != nil {
		c.Stages, c.Digests, c.BootPartitions = slices.Clone(c.Stages), slices.Clone(c.Digests), slices.Clone(c.BootPartitions)
	}
	return c
}
