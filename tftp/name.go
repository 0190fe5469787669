package tftp

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
)

var errBadName = errors.New("not a plain file name")

// cleanName turns the name in a request into one that an [fs.FS] takes.
// Firmware writes "/ipxe.efi", "boot\x64\wdsmgfw.efi" and "//ipxe.efi", and
// some appends the 0xFF that ended its DHCP options.
func cleanName(raw string) (string, error) {
	name := strings.TrimRight(raw, "\xff")
	name = strings.TrimLeft(strings.ReplaceAll(name, `\`, "/"), "/")
	switch {
	case name == "",
		strings.ContainsFunc(name, unicode.IsControl),
		slices.Contains(strings.Split(name, "/"), ".."):
		return "", errBadName
	}
	name = path.Clean(name)
	drive := len(name) > 1 && name[1] == ':' // C:/Windows
	if name == "." || drive || !fs.ValidPath(name) {
		return "", errBadName
	}
	return name, nil
}
