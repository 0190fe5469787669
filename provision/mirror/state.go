package mirror

import (
	"fmt"
	"os"
	"path/filepath"

	"cloudlets/images/disk"
	"cloudlets/images/disk/slots"
)

// wholeDisk is a disk with members of the system's arrays.
type wholeDisk struct {
	file   string
	size   int64
	sector int64
}

// diskOf returns the disk of a partition.
func (s search) diskOf(partition string) (wholeDisk, error) {
	dir, err := filepath.EvalSymlinks(filepath.Join(s.dir, filepath.Base(partition)))
	if err != nil {
		return wholeDisk{}, err
	}
	name := filepath.Base(filepath.Dir(dir))
	d := wholeDisk{file: filepath.Join(s.dev, name)}
	sectors, err := s.attribute(name, "size")
	if err != nil {
		return d, err
	}
	d.size = sectors * kernelSector
	d.sector, err = s.attribute(name, "queue/logical_block_size")
	return d, err
}

// agree makes the state of the slots on a disk that was away that of the disk that was
// there, whose files are given. It says whether the boot loader, which went by the former,
// started another slot than it shall: then the machine must start again. Running is the
// number of the partition of the slot that was started.
//
// Disks that only differ in the number of tries are left alone: the boot loader counts them
// on the disk that it is on, and a number that is written back would be counted for ever.
func agree(away, there wholeDisk, running int) (again bool, err error) {
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("tell %s, which was away, which system is good: %w", away.file, err)
	}
	_, want, err := there.state(os.O_RDONLY, nil)
	if err != nil {
		return fail(err)
	}
	layout, now, err := away.state(os.O_RDWR, func(now slots.State) *slots.State {
		if now.Good == want.Good && now.Trial == want.Trial {
			return nil
		}
		return &want
	})
	if err != nil {
		return fail(err)
	}
	changed := now.Good != want.Good || now.Trial != want.Trial
	return changed && layout.In(want.Started()).Root.Number != running, nil
}

// state reads the state of the slots on a disk, and writes another one if change returns it.
func (d wholeDisk) state(mode int, change func(slots.State) *slots.State) (l disk.Layout, s slots.State, err error) {
	f, err := os.OpenFile(d.file, mode, 0)
	if err != nil {
		return l, s, err
	}
	defer f.Close()
	if l, err = disk.FindMirror(f, d.size, d.sector); err != nil {
		return l, s, err
	}
	if s, err = slots.Read(f, l.ESP.Offset); err != nil || change == nil {
		return l, s, err
	}
	if to := change(s); to != nil {
		err = slots.Write(f, l.ESP.Offset, d.sector, *to)
	}
	return l, s, err
}
