package agent

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cloudlets/provision"
)

// TestBIOSThatStartsAnotherDiskIsToldOfBeforeTheWrite: the machine's BIOS told the
// kernel of the first drive, and the plan names the second disk by its serial.
func TestBIOSThatStartsAnotherDiskIsToldOfBeforeTheWrite(t *testing.T) {
	for name, c := range map[string]struct {
		first  int // the disk that BIOS starts
		warned bool
	}{"another": {0, true}, "the same": {1, false}} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			disks := []*loopDisk{newLoopDisk(t, b.dir, diskSize/2), newLoopDisk(t, b.dir, diskSize)}
			b.use(t, disks...)
			sys := fakeSys(t.TempDir())
			for _, d := range disks {
				sys.disk(t, "virtual/block/"+d.info.Name, map[string]string{"size": strconv.FormatInt(d.info.Size/512, 10)})
			}
			write(t, string(sys), filepath.Join("firmware/edd/int13_dev80", "sectors"), []byte(strconv.FormatInt(disks[c.first].info.Size/512, 10)+"\n"), 0o444)
			b.job.Sys = os.DirFS(string(sys))
			b.job.Plan.Disk.MinSize = diskSize
			b.install(t)
			warned := false
			for _, e := range b.events {
				if e.Stage == provision.StagePartition {
					break // what is said later is too late
				}
				warned = warned || strings.Contains(e.Text, "BIOS starts "+disks[0].info.Name) && strings.Contains(e.Reason, "no bootable device")
			}
			if warned != c.warned {
				t.Errorf("warned: %t, want %t; events %+v", warned, c.warned, b.events)
			}
		})
	}
}
