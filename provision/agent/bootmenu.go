package agent

import (
	"fmt"
	"path"
	"strings"
	"time"

	"cloudlets/images/disk"
)

// menuTimeout is how long an installed disk's boot menu waits for a key.
const menuTimeout = time.Second

// menu reads the kernels from the disk that was just written: what boots is
// what was verified. Command lines get the root filesystem's real name.
func (i *installer) menu() (disk.Menu, error) {
	menu := disk.Menu{Timeout: menuTimeout}
	for n := range i.plan.Kernels {
		k := &i.plan.Kernels[n]
		k.Cmdline = strings.ReplaceAll(k.Cmdline, "root=auto", i.rootWord(k.Initrd != ""))
		kernel, err := disk.FilePayload(path.Join(i.Target, k.Kernel))
		if err != nil {
			return menu, err
		}
		var initrd disk.Payload
		if k.Initrd != "" {
			if initrd, err = disk.FilePayload(path.Join(i.Target, k.Initrd)); err != nil {
				return menu, err
			}
		}
		menu.Entries = append(menu.Entries, disk.Entry{
			ID: entryID(n, k.Version), Title: k.Title, Version: k.Version, Kernel: kernel, Initrd: initrd, Cmdline: k.Cmdline,
		})
	}
	return menu, nil
}

// rootWord names the root filesystem for a kernel. One that has no RAM disk
// to look at filesystems finds partitions only.
func (i *installer) rootWord(hasInitrd bool) string {
	if hasInitrd {
		return "root=UUID=" + i.fsUUID.String()
	}
	return "root=PARTUUID=" + i.layout.Root.GUID
}

func entryID(n int, version string) string {
	return fmt.Sprintf("cloudlet-%d-%s", n, version)
}
