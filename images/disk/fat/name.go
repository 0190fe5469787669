package fat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxNameUnits = 255 // of UTF-16
	longUnits    = 13  // in one directory slot
	baseLength   = 8
	extLength    = 3
)

// shortName is a name in FAT's original form: eight and three characters, padded
// with spaces, without the dot.
type shortName [baseLength + extLength]byte

// checkName returns an error if FAT cannot hold a name.
func checkName(name string) error {
	switch {
	case !utf8.ValidString(name):
		return errors.New("the name is not valid UTF-8: rename it")
	case len(utf16.Encode([]rune(name))) > maxNameUnits:
		return fmt.Errorf("the name is longer than FAT's %d characters: shorten it", maxNameUnits)
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		return errors.New("FAT drops a dot or a space at the end of a name: rename it")
	case strings.HasPrefix(name, " "):
		return errors.New("FAT drivers drop a space at the beginning of a name: rename it")
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f || strings.ContainsRune(`"*/:<>?\|`, r) {
			return fmt.Errorf("FAT does not allow %q in a name: rename it", r)
		}
	}
	return nil
}

// shorten gives every child a short name, and a long name if the short name
// differs from its real name. folded holds the case-folded names of all children,
// which an alias must not repeat.
func shorten(children []*node, folded map[string]string) {
	taken := map[shortName]bool{}
	for _, c := range children {
		if s, ok := exactShort(strings.ToUpper(c.name)); ok {
			c.short = s
			taken[s] = true
		}
	}
	next := map[string]int{}
	for _, c := range children {
		if exact, ok := exactShort(c.name); ok && exact == c.short {
			continue
		}
		c.long = utf16.Encode([]rune(c.name))
		if c.short == (shortName{}) {
			c.short = alias(c.name, taken, folded, next)
			taken[c.short] = true
		}
	}
}

// exactShort returns the short name that equals the name, if there is one.
func exactShort(name string) (shortName, bool) {
	base, ext, dot := strings.Cut(name, ".")
	if base == "" || len(base) > baseLength || len(ext) > extLength || (dot && ext == "") {
		return shortName{}, false
	}
	for i := range len(base) {
		if !shortByte(base[i]) {
			return shortName{}, false
		}
	}
	for i := range len(ext) {
		if !shortByte(ext[i]) {
			return shortName{}, false
		}
	}
	return pack(base, ext), true
}

// alias returns an unused short name, e.g. "LONGNA~1.TXT". next holds the last
// number used for each stem, so that many similar names do not take long.
func alias(name string, taken map[shortName]bool, folded map[string]string, next map[string]int) shortName {
	stem, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		stem, ext = name[:i], name[i+1:]
	}
	stem, ext = squeeze(stem, baseLength), squeeze(ext, extLength)
	for {
		key := stem + "." + ext
		next[key]++
		tail := "~" + strconv.Itoa(next[key])
		base := stem[:min(len(stem), baseLength-len(tail))] + tail
		s := pack(base, ext)
		if _, isName := folded[fold(s.String())]; !isName && !taken[s] {
			return s
		}
	}
}

// squeeze converts part of a name to the characters of a short name.
func squeeze(part string, length int) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(part) {
		switch {
		case b.Len() == length:
			return b.String()
		case r == ' ' || r == '.':
		case r < utf8.RuneSelf && shortByte(byte(r)):
			b.WriteByte(byte(r))
		default:
			b.WriteByte('_')
		}
	}
	return b.String()
}

func shortByte(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'()-@^_`{}~", c) >= 0
}

func pack(base, ext string) shortName {
	var s shortName
	copy(s[:], "           ")
	copy(s[:baseLength], base)
	copy(s[baseLength:], ext)
	return s
}

// String returns the name with its dot, e.g. "BOOTX64.EFI".
func (s shortName) String() string {
	base := strings.TrimRight(string(s[:baseLength]), " ")
	if ext := strings.TrimRight(string(s[baseLength:]), " "); ext != "" {
		return base + "." + ext
	}
	return base
}

// checksum is stored in the slots of a long name and ties them to its short
// name.
func (s shortName) checksum() byte {
	var sum byte
	for _, c := range s {
		sum = sum>>1 | sum<<7
		sum += c
	}
	return sum
}

func longSlots(long []uint16) int { return (len(long) + longUnits - 1) / longUnits }

// volumeLabel returns a label in its form on disk.
func volumeLabel(label string) ([11]byte, error) {
	var out [11]byte
	copy(out[:], "NO NAME    ")
	if label == "" {
		return out, nil
	}
	if len(label) > len(out) {
		return out, fmt.Errorf("lay out FAT filesystem: the label %q is longer than %d characters", label, len(out))
	}
	copy(out[:], "           ")
	for i := range len(label) {
		if !shortByte(label[i]) && (label[i] != ' ' || i == 0) {
			return out, fmt.Errorf("lay out FAT filesystem: the label %q contains %q: use capital letters, digits, - and _", label, label[i])
		}
		out[i] = label[i]
	}
	return out, nil
}
