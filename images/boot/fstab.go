package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
)

// FstabPath is the file that lists filesystems to mount: see fstab(5).
const FstabPath = "/etc/fstab"

// RootLabel is the volume name of a cloudlet's root filesystem. By this name
// installers recognise a disk with a cloudlet.
const RootLabel = "cloudlet"

// maxFstab bounds the part of it that is read, in bytes.
const maxFstab = 64 << 10

// CheckFstab says which filesystems a system will wait for in vain on a new disk,
// since its /etc/fstab names those of one machine for them. It returns "" if
// there is none. Own are the labels of the filesystems that the disk has.
func CheckFstab(t images.Tree, own ...string) (string, error) {
	e, err := t.Entry(FstabPath)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (e.Type != images.Regular || e.Size > maxFstab) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	text, err := images.ReadFile(t, FstabPath, maxFstab)
	if err != nil {
		return "", err
	}
	return FstabDoubt(string(text), own...), nil
}

// FstabDoubt is [CheckFstab] for the text of the file.
func FstabDoubt(text string, own ...string) string {
	places := otherDisks(text, own)
	if len(places) == 0 {
		return ""
	}
	return fmt.Sprintf("%s names the disks of one machine for %s: a copy on another disk would wait for them in vain; remove these lines", FstabPath, strings.Join(places, ", "))
}

// otherDisks lists where an fstab mounts filesystems of disks that are named.
// What need not be there ("nofail", "noauto") does not count.
func otherDisks(text string, own []string) []string {
	var places []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !isOneDisk(fields[0], own) {
			continue
		}
		if len(fields) > 3 && slices.ContainsFunc(strings.Split(fields[3], ","), func(o string) bool { return o == "nofail" || o == "noauto" }) {
			continue
		}
		places = append(places, path.Clean(fields[1]))
	}
	slices.Sort(places)
	return places
}

// isOneDisk reports whether the first field of a line names a disk, by its
// device or by what is on it.
func isOneDisk(source string, own []string) bool {
	if strings.HasPrefix(source, "/dev/") {
		return source != "/dev/root"
	}
	tag, value, ok := strings.Cut(source, "=")
	if !ok || !slices.Contains([]string{"UUID", "LABEL", "PARTUUID", "PARTLABEL", "ID"}, tag) {
		return false
	}
	return tag != "LABEL" || !slices.Contains(own, strings.Trim(value, `"`))
}
