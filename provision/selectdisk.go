package provision

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloudlets/images/bytesize"
)

// ErrNoDisk and ErrSeveralDisks are the reasons why [SelectDisk] fails.
var (
	ErrNoDisk       = errors.New("no disk matches")
	ErrSeveralDisks = errors.New("several disks match")
)

// ErrNotTwoDisks is the reason why [SelectMirror] fails.
var ErrNotTwoDisks = errors.New("a mirror takes two disks that match")

// SelectDisk returns the one disk that matches every hint. It never selects a
// read-only disk. It selects a removable disk or one on USB only if a hint names
// it: by serial, WWN or path, or by "transport": "usb". If no disk matches or
// several do, the error lists the disks and says what to write into the machine's
// file.
func SelectDisk(hints DiskHints, disks []DiskInfo) (DiskInfo, error) {
	matching, refused := matchingDisks(hints, disks)
	switch {
	case len(matching) > 0 && onlyPathsOf(matching[0], matching):
		return matching[0], nil
	case len(matching) > 0:
		return DiskInfo{}, severalError(matching)
	case len(disks) == 0:
		return DiskInfo{}, fmt.Errorf("select disk: %w: the machine has no disk that its kernel shows; check its controller, and that the image's kernel has the driver for it", ErrNoDisk)
	default:
		return DiskInfo{}, fmt.Errorf("select disk: %w: %s; change \"disk\" in the machine's file to match one of them",
			ErrNoDisk, strings.Join(refused, "; "))
	}
}

// matchingDisks returns the disks that match every hint, and why each of the others does
// not.
func matchingDisks(hints DiskHints, disks []DiskInfo) (matching []DiskInfo, refused []string) {
	for _, disk := range disks {
		if why := mismatch(hints, disk); why != "" {
			refused = append(refused, fmt.Sprintf("%s: %s", disk, why))
			continue
		}
		matching = append(matching, disk)
	}
	return matching, refused
}

// mirrorTolerance is by what part of its size the larger disk of a mirror may be larger
// than the other one, in percent. More is a mistake rather than two disks of two makers.
const mirrorTolerance = 10

// SelectMirror returns the two disks of a mirror: those that match every hint, by the rules
// of [SelectDisk] for each. There must be exactly two, and of nearly the same size. They
// come in the order of the list.
func SelectMirror(hints DiskHints, disks []DiskInfo) ([2]DiskInfo, error) {
	matching, refused := matchingDisks(hints, disks)
	var apart []DiskInfo
	for _, d := range matching {
		if !slices.ContainsFunc(apart, func(other DiskInfo) bool { return samePhysical(d, other) }) {
			apart = append(apart, d)
		}
	}
	if len(apart) != 2 {
		list := make([]string, len(apart))
		for i, d := range apart {
			list[i] = d.String()
		}
		if len(refused) > 0 {
			list = append(list, "not "+strings.Join(refused, "; not "))
		}
		return [2]DiskInfo{}, fmt.Errorf("select disks: %w \"disk\" in the machine's file, and %d do: %s; change the hints, see to the disk that is missing, or take \"mirror\" out",
			ErrNotTwoDisks, len(apart), strings.Join(list, "; "))
	}
	small, large := min(apart[0].Size, apart[1].Size), max(apart[0].Size, apart[1].Size)
	if large-small > small/100*mirrorTolerance {
		return [2]DiskInfo{}, fmt.Errorf("select disks: %w in size too: %s has %s, and %s has %s; use disks whose sizes differ by less than %d %%",
			ErrNotTwoDisks, apart[0].Name, bytesize.Decimal(apart[0].Size), apart[1].Name, bytesize.Decimal(apart[1].Size), mirrorTolerance)
	}
	return [2]DiskInfo(apart), nil
}

// mismatch says why a disk does not match the hints, or returns "" if it does.
func mismatch(h DiskHints, d DiskInfo) string {
	if d.ReadOnly {
		return "it is read-only"
	}
	if d.Size <= 0 {
		return "it has no medium"
	}
	if why := textMismatch(h, d); why != "" {
		return why
	}
	switch {
	case h.MinSize > 0 && d.Size < h.MinSize:
		return fmt.Sprintf("it is smaller than minSize %s", bytesize.Exact(h.MinSize))
	case h.MaxSize > 0 && d.Size > h.MaxSize:
		return fmt.Sprintf("it is larger than maxSize %s", bytesize.Exact(h.MaxSize))
	case h.Rotational != nil && *h.Rotational != d.Rotational:
		return fmt.Sprintf("rotational is %t, the hint says %t", d.Rotational, *h.Rotational)
	case isPortable(d) && !namesPortable(h, d):
		return "it is removable or on USB, and no serial, wwn, byPath or transport names it"
	}
	return ""
}

func textMismatch(h DiskHints, d DiskInfo) string {
	for _, hint := range []struct {
		name, want, have string
		plain            func(string) string
	}{
		{"serial", h.Serial, d.Serial, plainWords},
		{"wwn", h.WWN, d.WWN, plainWWN},
		{"model", h.Model, d.Model, plainWords},
		{"transport", h.Transport, d.Transport, strings.ToLower},
		{"byPath", h.ByPath, d.ByPath, plainPath},
	} {
		have := hint.plain(hint.have)
		if hint.want == "" || have != "" && have == hint.plain(hint.want) {
			continue
		}
		if have == "" {
			return fmt.Sprintf("it has no %s, the hint says %q", hint.name, hint.want)
		}
		return fmt.Sprintf("%s is %q, the hint says %q", hint.name, hint.have, hint.want)
	}
	return ""
}

// onlyPathsOf says whether all disks are paths to one disk.
func onlyPathsOf(d DiskInfo, disks []DiskInfo) bool {
	for _, other := range disks {
		if other.Name != d.Name && !samePhysical(d, other) {
			return false
		}
	}
	return true
}

// samePhysical says whether two disks of the kernel are one disk that is attached by
// two paths. The WWN is meant to be unique, but bridges from USB invent it.
func samePhysical(a, b DiskInfo) bool {
	wwn := plainWWN(a.WWN)
	return strings.Trim(wwn, "0") != "" && wwn == plainWWN(b.WWN) && !isPortable(a) && !isPortable(b) &&
		a.Size == b.Size && plainWords(a.Serial) == plainWords(b.Serial) && plainWords(a.Model) == plainWords(b.Model)
}

// countWritable counts the disks that can take a system without hints.
func countWritable(disks []DiskInfo) int {
	var all []DiskInfo
	for _, d := range disks {
		known := func(other DiskInfo) bool { return samePhysical(d, other) }
		if mismatch(DiskHints{}, d) == "" && !slices.ContainsFunc(all, known) {
			all = append(all, d)
		}
	}
	return len(all)
}

func isPortable(d DiskInfo) bool { return d.Removable || d.Transport == "usb" }

func namesPortable(h DiskHints, d DiskInfo) bool {
	return h.Serial != "" || h.WWN != "" || h.ByPath != "" || h.Transport == d.Transport && (h.Transport == "usb" || h.Transport == "mmc")
}

// plainWords returns a name in the form in which names are compared: drives pad
// them with blanks, and udev writes blanks as underscores.
func plainWords(name string) string {
	return strings.ToLower(strings.Join(strings.Fields(strings.ReplaceAll(name, "_", " ")), " "))
}

// plainWWN removes the prefixes of the kernel ("naa.", "eui.") and of udev ("0x").
func plainWWN(wwn string) string {
	wwn = strings.ToLower(strings.TrimSpace(wwn))
	for _, prefix := range []string{"naa.", "eui.", "0x"} {
		if rest, ok := strings.CutPrefix(wwn, prefix); ok {
			return rest
		}
	}
	return wwn
}

func plainPath(name string) string {
	return strings.TrimPrefix(name, "/dev/disk/by-path/")
}

// severalError lists the disks that match, and shows a hint that only one of them
// matches.
func severalError(disks []DiskInfo) error {
	list := make([]string, len(disks))
	for i, d := range disks {
		list[i] = d.String()
	}
	advice := "no hint distinguishes them; disconnect one"
	for i, d := range disks {
		if hint := tellingHint(disks, i); hint != "" {
			advice = fmt.Sprintf("add a hint to \"disk\" in the machine's file that only the right one matches; for %s it would be %s", d.Name, hint)
			break
		}
	}
	return fmt.Errorf("select disk: %w: %s; %s", ErrSeveralDisks, strings.Join(list, "; "), advice)
}

// tellingHint returns a hint that matches only the disk with index i, or "".
func tellingHint(disks []DiskInfo, i int) string {
	d := disks[i]
	for _, try := range []struct {
		text  string
		hints DiskHints
	}{
		{fmt.Sprintf(`"serial": %q`, d.Serial), DiskHints{Serial: d.Serial}},
		{fmt.Sprintf(`"wwn": %q`, d.WWN), DiskHints{WWN: d.WWN}},
		{fmt.Sprintf(`"byPath": %q`, d.ByPath), DiskHints{ByPath: d.ByPath}},
		{fmt.Sprintf(`"model": %q`, d.Model), DiskHints{Model: d.Model}},
		{fmt.Sprintf(`"minSize": %d, "maxSize": %d`, d.Size, d.Size), DiskHints{MinSize: d.Size, MaxSize: d.Size}},
		{fmt.Sprintf(`"transport": %q`, d.Transport), DiskHints{Transport: d.Transport}},
		{fmt.Sprintf(`"rotational": %t`, d.Rotational), DiskHints{Rotational: &d.Rotational}},
	} {
		if try.hints != (DiskHints{}) && matchesOnly(try.hints, disks, i) {
			return try.text
		}
	}
	return ""
}

func matchesOnly(h DiskHints, disks []DiskInfo, i int) bool {
	for j, d := range disks {
		if (mismatch(h, d) == "") != (i == j || samePhysical(d, disks[i])) {
			return false
		}
	}
	return true
}
