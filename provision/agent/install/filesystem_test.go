package install

import (
	"strings"
	"testing"
)

// TestInstallOnOtherFilesystems makes the root with the mkfs of xfs and btrfs,
// and has their own tools look at it afterwards.
func TestInstallOnOtherFilesystems(t *testing.T) {
	for name, tools := range map[string]struct {
		pkg, maker, checker string
		args                []string
	}{
		"xfs":   {"xfsprogs", "mkfs.xfs", "xfs_repair", []string{"-n", "-f"}},
		"btrfs": {"btrfs-progs", "mkfs.btrfs", "btrfs", []string{"check", "--readonly"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, d := newFaultBed(t)
			b.job.Plan.Target.Filesystem, b.job.Maker = name, findTool(t, tools.pkg, tools.maker)
			result := b.install(t)
			wantOverlay(t, b.job.Target)
			if !strings.Contains(result.Kernel.Cmdline, "root=UUID=") {
				t.Errorf("the disk boots with %q", result.Kernel.Cmdline)
			}
			if err := Unmount(b.job.Target); err != nil {
				t.Fatal(err)
			}
			tool(t, tools.pkg, tools.checker, append(tools.args, d.device+"p3")...)
		})
	}
}
