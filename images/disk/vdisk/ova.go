package vdisk

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"cloudlets/images/disk/guest"
)

// ova writes a virtual machine in one file, in the order of section 5.3 of OVF 1.1 (DMTF
// DSP0243): descriptor, manifest of checksums, disk. Room is reserved for the parts
// before the disk. They are written at the end, once the disk's size and checksum are
// known.
type ova struct {
	file    File
	disk    *vmdkStream
	sum     hash.Hash
	machine guest.Machine
	size    int64 // of the disk
	room    int64 // for the descriptor
	options Options
}

func newOVA(t target, o Options) (container, error) {
	machine, err := o.Machine.Complete()
	if err != nil {
		return nil, err
	}
	file, err := t.file()
	if err != nil {
		return nil, err
	}
	a := &ova{file: file, sum: sha256.New(), machine: machine, size: t.size, options: o}
	// The longest possible numbers make the longest possible descriptor.
	longest, err := machine.Descriptor(guest.DiskFacts{Capacity: t.size, FileSize: 1<<63 - 1, Stored: t.size})
	if err != nil {
		return nil, err
	}
	a.room = roundUp(int64(len(longest)), sector)
	out := io.MultiWriter(io.NewOffsetWriter(file, a.content()), a.sum)
	a.disk, err = openVMDKStream(out, t.size, o)
	return a, err
}

// The names of the archive's members.
func (a *ova) ovfName() string  { return a.machine.Name + ".ovf" }
func (a *ova) mfName() string   { return a.machine.Name + ".mf" }
func (a *ova) diskName() string { return a.machine.DiskName() }

// content is the offset of the disk, after three headers and two members.
func (a *ova) content() int64 {
	mf := int64(len(a.manifest([32]byte{}, [32]byte{})))
	return 3*sector + a.room + roundUp(mf, sector)
}

// manifest returns the text with the checksums.
func (a *ova) manifest(ovf, disk [32]byte) []byte {
	return fmt.Appendf(nil, "SHA256(%s)= %x\nSHA256(%s)= %x\n", a.ovfName(), ovf, a.diskName(), disk)
}

func (a *ova) put(b batch) error {
	return a.disk.put(b)
}

func (a *ova) finish() error {
	if err := a.disk.finish(); err != nil {
		return err
	}
	// The disk is padded to whole sectors, so that only the archive's end follows.
	if err := a.file.Truncate(a.content() + a.disk.pos + tarEnd); err != nil {
		return err
	}
	front, err := a.front()
	if err != nil {
		return err
	}
	_, err = a.file.WriteAt(front, 0)
	return err
}

// front returns everything before the disk's content.
func (a *ova) front() ([]byte, error) {
	ovf, err := a.machine.Descriptor(guest.DiskFacts{Capacity: a.size, FileSize: a.disk.pos, Stored: a.disk.stored})
	if err != nil {
		return nil, err
	}
	ovf = append(ovf, bytes.Repeat([]byte{'\n'}, int(a.room)-len(ovf))...)
	mf := a.manifest(sha256.Sum256(ovf), [32]byte(a.sum.Sum(nil)))
	var front []byte
	for _, member := range []struct {
		name    string
		size    int64
		content []byte
	}{
		{a.ovfName(), int64(len(ovf)), ovf},
		{a.mfName(), int64(len(mf)), mf},
		{a.diskName(), a.disk.pos, nil},
	} {
		header, err := ustarHeader(member.name, member.size, a.options.Time)
		if err != nil {
			return nil, err
		}
		front = append(append(front, header...), member.content...)
		front = append(front, make([]byte, roundUp(int64(len(front)), sector)-int64(len(front)))...)
	}
	return front, nil
}
