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

// cleanName turns the name of a request into one that an [fs.FS] knows.
// Firmware writes "/ipxe.efi", "boot\x64\wdsmgfw.efi" and "//ipxe.efi" for
// plain names, and some sends the 0xFF that ended its DHCP options too.
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
