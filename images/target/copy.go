package target

import (
	"errors"
	"io/fs"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/layers"
	"cloudlets/images/manifest"
)

// machineIDPath is where systemd keeps a machine's identifier: machine-id(5).
const machineIDPath = "/etc/machine-id"

// CopyOf returns the files of an image as each copy gets them, and says which of
// them are volatile and so left out. If the image starts systemd, a volatile
// /etc/machine-id is not left out but empty: without the file, systemd takes the
// copy's first start for that of a system which was never set up, and enables
// services by their presets ("First boot semantics" in machine-id(5)).
func CopyOf(m *manifest.Manifest, t images.Ordered) (files images.Ordered, volatile func(path string) bool, err error) {
	e, err := t.Entry(machineIDPath)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && e.Type != images.Regular && e.Type != images.HardLink || !m.IsVolatile(machineIDPath):
		return t, m.IsVolatile, nil
	case err != nil:
		return nil, nil, err
	}
	// An image whose first program is missing starts nothing. What needs the program
	// says so.
	init, err := boot.Init(m, t, "")
	if err != nil || !boot.IsSystemd(t, init.Path) {
		return t, m.IsVolatile, nil
	}
	e.Type, e.Link = images.Regular, ""
	files, _ = layers.Overlay(t, images.Overlay{{Entry: e}}).(images.Ordered)
	return files, func(p string) bool { return p != machineIDPath && m.IsVolatile(p) }, nil
}
