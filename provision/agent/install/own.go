package install

import (
	"fmt"
	"io/fs"

	"cloudlets/provision"
	"cloudlets/provision/hardware"
)

// Own are the disks that an agent began to write since it was booted. They were empty
// then, or a person allowed that all on them was lost. So a further attempt may overwrite
// what an earlier one left there.
type Own struct {
	begun map[string]string // what was on each before, in words
}

// add notes that a disk is about to be written. A disk with a partition that is kept is
// not noted: what is there is not the agent's.
func (o *Own) add(sys fs.FS, d provision.DiskInfo) {
	if o == nil {
		return
	}
	if o.begun == nil {
		o.begun = make(map[string]string)
	}
	id := ownID(sys, d)
	if _, known := o.begun[id]; id != "" && !known {
		o.begun[id] = d.Contents
	}
}

func (o *Own) has(sys fs.FS, d provision.DiskInfo) bool {
	if o == nil {
		return false
	}
	_, has := o.begun[ownID(sys, d)]
	return has
}

// lost is what is lost when a disk is written: what the first attempt found there, if
// this is not the first.
func (o *Own) lost(sys fs.FS, d provision.DiskInfo) string {
	if o.has(sys, d) {
		return o.begun[ownID(sys, d)]
	}
	return d.Contents
}

// ownID identifies a disk in this boot. The kernel gives each disk that is attached a new
// number, so one that was pulled and put back is another disk. It is "" for a kernel that
// has no such numbers (before Linux 5.15).
func ownID(sys fs.FS, d provision.DiskInfo) string {
	number := hardware.Attribute(sys, "block/"+d.Name+"/diskseq")
	if number == "" {
		return ""
	}
	return fmt.Sprintf("%q %q %q %q %d", number, d.Name, d.Serial, d.WWN, d.Size)
}
