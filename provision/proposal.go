package provision

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloudlets/images/bytesize"
)

// Proposal is what an agent is about to do to a disk. It tells the server before its
// first write, and if a person is to confirm the install, it waits.
type Proposal struct {
	// Disk is the disk that will be written, with what is on it now.
	Disk DiskInfo `json:"disk"`
	// Second is the other disk of a mirror, which gets the same; nil if there is one disk.
	Second *DiskInfo `json:"second,omitempty"`
	// Lost is what will be lost, for a person; "" if the disk is empty. If an earlier
	// attempt of the same agent left something there, Lost is still what that attempt found.
	Lost string `json:"lost,omitempty"`
	// Notices are sentences about what else changes for a person's data, e.g. paths that
	// will not be persistent any more.
	Notices []string `json:"notices,omitempty"`
	// Image is what is written, and Pack the digest of its content, "sha256:…".
	Image string `json:"image"`
	Pack  string `json:"pack"`
	// Layout are the disk's partitions as they will be.
	Layout []ProposedPartition `json:"layout"`
	// Fetch is how many bytes are to be fetched.
	Fetch int64 `json:"fetch"`
}

// ProposedPartition is one partition of a [Proposal].
type ProposedPartition struct {
	Number int    `json:"number"` // from 1
	Name   string `json:"name"`
	// Filesystem is "" if the partition has none.
	Filesystem string `json:"filesystem,omitempty"`
	Offset     int64  `json:"offset"` // in bytes
	Size       int64  `json:"size"`   // in bytes
	// Kept says that it is on the disk already, and stays as it is.
	Kept bool `json:"kept,omitempty"`
}

// Bounds of a proposal, since it comes from a machine.
const (
	maxProposedPartitions = 16
	maxProposedNotices    = 8
	maxProposedText       = 256 // bytes
	maxProposedContents   = 1024
)

// Digest names what a person confirms: the disk, what is lost on it or changes, and what is written.
// It is the same for an agent that starts again and finds all of that as it was. The
// disk's name does not count where it has a serial number or a WWN, since the kernel may
// give it another one at each boot.
func (p Proposal) Digest() string {
	plain := Proposal{Disk: p.Disk.lasting()}
	if p.Second != nil {
		second := p.Second.lasting()
		plain.Second = &second
	}
	plain.Lost, plain.Notices, plain.Image, plain.Pack, plain.Layout = p.Lost, p.Notices, p.Image, p.Pack, p.Layout
	text, err := json.Marshal(plain)
	if err != nil {
		panic(err) // these types can be marshalled
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// lasting is what of a disk is the same at each boot.
func (d DiskInfo) lasting() DiskInfo {
	plain := DiskInfo{Serial: d.Serial, WWN: d.WWN, Model: d.Model, Size: d.Size}
	if plain.Serial == "" && plain.WWN == "" {
		plain.Name, plain.ByPath = d.Name, d.ByPath
	}
	return plain
}

// String says it in one line.
func (p Proposal) String() string {
	parts := make([]string, len(p.Layout))
	for i, part := range p.Layout {
		parts[i] = part.String()
	}
	on := fmt.Sprintf("/dev/%s; on it now: %s", p.Disk, cmp.Or(p.Disk.Contents, "nothing"))
	if p.Second != nil {
		on = fmt.Sprintf("%s; and the same to /dev/%s; on it now: %s", on, p.Second, cmp.Or(p.Second.Contents, "nothing"))
	}
	lost := strings.Join(append([]string{cmp.Or(p.Lost, "nothing")}, p.Notices...), "; ")
	return fmt.Sprintf("write %s (%.19s) to %s; lost: %s; its partitions then: %s; to fetch: %s",
		p.Image, cmp.Or(p.Pack, "-"), on, lost, strings.Join(parts, ", "), bytesize.Decimal(p.Fetch))
}

// String says it in a few words: "3 root 7.5 GB ext4".
func (p ProposedPartition) String() string {
	text := fmt.Sprintf("%d %s %s", p.Number, p.Name, bytesize.Decimal(p.Size))
	if p.Filesystem != "" {
		text += " " + p.Filesystem
	}
	if p.Kept {
		text += ", kept as it is"
	}
	return text
}

// Bounded returns a copy that is cut to a bounded size and shares nothing with p.
func (p Proposal) Bounded() Proposal {
	p.Disk = p.Disk.proposed()
	if p.Second != nil {
		second := p.Second.proposed()
		p.Second = &second
	}
	p.Image, p.Pack, p.Lost = Cut(p.Image, maxProposedText), Cut(p.Pack, maxProposedText), Cut(p.Lost, maxProposedContents)
	p.Notices = slices.Clone(p.Notices[:min(len(p.Notices), maxProposedNotices)])
	for i := range p.Notices {
		p.Notices[i] = Cut(p.Notices[i], maxProposedContents)
	}
	p.Layout = slices.Clone(p.Layout[:min(len(p.Layout), maxProposedPartitions)])
	for i := range p.Layout {
		p.Layout[i].Name, p.Layout[i].Filesystem = Cut(p.Layout[i].Name, maxProposedText), Cut(p.Layout[i].Filesystem, maxProposedText)
	}
	return p
}

// proposed returns a disk of a proposal, cut to a bounded size.
func (d DiskInfo) proposed() DiskInfo {
	for _, text := range []*string{&d.Name, &d.Serial, &d.WWN, &d.Model, &d.Transport, &d.ByPath} {
		*text = Cut(*text, maxProposedText)
	}
	d.Contents = Cut(d.Contents, maxProposedContents)
	return d
}

func (p *Proposal) clone() *Proposal {
	c := copied(p)
	if c != nil {
		c.Layout, c.Notices, c.Second = slices.Clone(c.Layout), slices.Clone(c.Notices), copied(c.Second)
	}
	return c
}

// Waits says whether the machine's agent waits for a person to confirm a proposal.
func (s State) Waits(p Proposal) bool {
	return s.Stage == StageConfirm && s.Proposal != nil && s.Proposal.Digest() == p.Digest()
}

// ErrNotWaiting says that there is nothing to confirm: the machine's agent does not wait,
// or what it would do is not what a person has seen.
var ErrNotWaiting = errors.New("it does not wait for that")

// CheckConfirm returns an [ErrNotWaiting] unless the machine waits for a person to confirm
// the proposal that has a digest.
func (s State) CheckConfirm(digest string) error {
	switch {
	case s.Stage != StageConfirm || s.Proposal == nil:
		return fmt.Errorf("confirm the plan of %s: %w: it is in the stage %q, and waits for nobody", s.MAC, ErrNotWaiting, cmp.Or(s.Stage, StageNew))
	case s.Proposal.Digest() != digest:
		return fmt.Errorf("confirm the plan of %s: %w: what it will do is not what you have seen; `cloudlets machines %[1]s` shows what it is", s.MAC, ErrNotWaiting)
	}
	return nil
}
