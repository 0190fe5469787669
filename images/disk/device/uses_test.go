//go:build linux

package device

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// tables are a /sys or /proc of some files.
func tables(files map[string]string) fs.FS {
	system := fstest.MapFS{}
	for name, text := range files {
		system[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return system
}

// disks has a stick sdb with three partitions, of which the third is LVM on
// RAID, and an empty sdc.
var disks = map[string]string{
	"block/sdb/dev": "8:16\n", "block/sdb/sdb1/dev": "8:17\n", "block/sdb/sdb1/partition": "1\n",
	"block/sdb/sdb2/dev": "8:18\n", "block/sdb/sdb2/partition": "2\n",
	"block/sdb/sdb3/dev": "8:19\n", "block/sdb/sdb3/partition": "3\n", "block/sdb/sdb3/holders/md0": "",
	"block/md0/dev": "9:0\n", "block/md0/md/level": "raid1\n", "block/md0/holders/dm-0": "", "block/md0/holders/dm-1": "",
	"block/dm-0/dev": "253:0\n", "block/dm-0/dm/name": "vg-root\n", "block/dm-0/dm/uuid": "LVM-abc\n",
	"block/dm-1/dev": "253:1\n", "block/dm-1/dm/name": "safe\n", "block/dm-1/dm/uuid": "CRYPT-LUKS2-abc\n",
	"block/sdc/dev": "8:32\n", "block/sdc/sdc1/dev": "8:33\n", "block/sdc/sdc1/partition": "1\n",
	"block/cciss!c0d0/dev": "104:0\n",
}

const mountLine = "36 35 %s / %s rw,noatime master:1 - %s %s rw\n"

func TestUses(t *testing.T) {
	held := []string{"/dev/sdb3 is part of /dev/md0", "/dev/md0 is part of /dev/mapper/vg-root", "/dev/md0 is part of /dev/mapper/safe"}
	for name, tt := range map[string]struct {
		device        string
		mounts, swaps string
		want          []string
		system        bool
	}{
		"nothing":               {"sdc", "", "", nil, false},
		"layers":                {"sdb", "", "", held, false},
		"a partition":           {"sdb3", "", "", held, false},
		"another partition":     {"sdb1", "", "", nil, false},
		"mounted":               {"sdc", fmt.Sprintf(mountLine, "8:33", `/media/my\040stick`, "vfat", "/dev/sdc1"), "", []string{"/dev/sdc1 is mounted on /media/my stick"}, false},
		"the whole of it":       {"sdc", fmt.Sprintf(mountLine, "8:32", "/mnt", "ext4", "/dev/sdc"), "", []string{"/dev/sdc is mounted on /mnt"}, false},
		"another's":             {"sdc", fmt.Sprintf(mountLine, "8:3", "/mnt", "ext4", "/dev/sda3"), "", nil, false},
		"btrfs":                 {"sdc", fmt.Sprintf(mountLine, "0:45", "/data", "btrfs", "/dev/sdc1"), "", []string{"/dev/sdc1 is mounted on /data"}, false},
		"the system":            {"sdb", fmt.Sprintf(mountLine, "253:0", "/", "ext4", "/dev/mapper/vg-root"), "", append([]string{"/dev/mapper/vg-root is mounted on /"}, held...), true},
		"the system in btrfs":   {"sdb", fmt.Sprintf(mountLine, "0:30", "/", "btrfs", "/dev/mapper/safe"), "", append([]string{"/dev/mapper/safe is mounted on /"}, held...), true},
		"the system's ESP":      {"sdc", fmt.Sprintf(mountLine, "8:33", "/boot/efi", "vfat", "/dev/sdc1"), "", []string{"/dev/sdc1 is mounted on /boot/efi"}, true},
		"swap":                  {"sdc", "", "/dev/sdc1   partition\t1024\t0\t-2\n", []string{"/dev/sdc1 is swap space in use"}, false},
		"swap on LVM":           {"sdb", "", "/dev/dm-1 partition 1024 0 -2\n", append([]string{"/dev/dm-1 is swap space in use"}, held...), false},
		"a swap file elsewhere": {"sdb", "", "/swap file 1024 0 -2\n", held, false},
		"a slash in the name":   {"cciss!c0d0", fmt.Sprintf(mountLine, "0:1", "/x", "btrfs", "/dev/cciss/c0d0"), "", []string{"/dev/cciss/c0d0 is mounted on /x"}, false},
		"nonsense":              {"sdc", "- - -\n8:33\n\n36 35 8:33 / /mnt rw -\n", "\\\n", nil, false},
	} {
		h := Host{Sys: tables(disks), Proc: tables(map[string]string{"self/mountinfo": tt.mounts, "swaps": "Filename Type Size Used Priority\n" + tt.swaps})}
		uses, err := h.uses(tt.device)
		var got []string
		system := false
		for _, u := range uses {
			got, system = append(got, u.What), system || u.System
			if u.Remedy == "" {
				t.Errorf("%s: %s, and nothing to do about it", name, u.What)
			}
		}
		if err != nil || strings.Join(got, "\n") != strings.Join(tt.want, "\n") || system != tt.system {
			t.Errorf("%s: got %q, system %v (%v); want %q, %v", name, got, system, err, tt.want, tt.system)
		}
	}
}

// TestNoMountTable: what cannot be known is not taken for nothing.
func TestNoMountTable(t *testing.T) {
	h := Host{Sys: tables(disks), Proc: tables(map[string]string{"swaps": ""})}
	if uses, err := h.uses("sdc"); err == nil {
		t.Errorf("got %v and no error", uses)
	}
}

// FuzzMounts: nothing in the kernel's tables, in which anybody can have names,
// makes this fail.
func FuzzMounts(f *testing.F) {
	f.Add(fmt.Sprintf(mountLine, "8:33", `/a\040b\`, "vfat", "/dev/sdc1"), `/dev/sdc1\0 partition`)
	f.Add("36 35 8:33 / / rw - - - -", "")
	f.Fuzz(func(t *testing.T, mounts, swaps string) {
		h := Host{Sys: tables(disks), Proc: tables(map[string]string{"self/mountinfo": mounts, "swaps": swaps})}
		uses, err := h.uses("sdc")
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range uses {
			if plain(u.What) != u.What || plain(u.Remedy) != u.Remedy {
				t.Errorf("%q, %q: it changes the terminal that it is shown on", u.What, u.Remedy)
			}
		}
	})
}
