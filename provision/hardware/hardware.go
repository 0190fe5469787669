// Package hardware tells from /sys what disks a machine has: what each is
// called and made by, how it is attached, what else may be known of it. It
// opens no device and changes nothing.
package hardware

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"cloudlets/provision"
)

// notDisks are block devices that no system is installed on.
var notDisks = regexp.MustCompile(`^(loop|ram|zram|dm-|md|sr|fd|nbd|mtdblock|drbd|rbd|bcache|zd|ublkb)\d|^mmcblk\d+(boot|gp)`)

// Disks lists a machine's disks by its /sys: those that have a medium, and
// that are no part of another device.
func Disks(sys fs.FS) ([]provision.DiskInfo, error) {
	names, err := fs.ReadDir(sys, "block")
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	var disks []provision.DiskInfo
	for _, name := range names {
		// Hidden members of a multipath device are no disks either.
		if notDisks.MatchString(name.Name()) || Attribute(sys, "block/"+name.Name()+"/hidden") == "1" {
			continue
		}
		if d := Disk(sys, name.Name()); d.Size > 0 {
			disks = append(disks, d)
		}
	}
	return disks, nil
}

// Disk describes the disk that the kernel calls name, "sda". One that there is
// not has no size. What is on it is not looked at.
func Disk(sys fs.FS, name string) provision.DiskInfo {
	dir := "block/" + name
	sectors, _ := strconv.ParseInt(Attribute(sys, dir+"/size"), 10, 64)
	device := findDevice(sys, name)
	transport := device.transport()
	return provision.DiskInfo{
		Name: name, Size: sectors * 512, // always 512, whatever the disk's sector is
		Model:      first(Attribute(sys, dir+"/device/model"), Attribute(sys, dir+"/device/name")),
		Serial:     serialOf(sys, dir, device),
		WWN:        first(Attribute(sys, dir+"/device/wwid"), Attribute(sys, dir+"/wwid")),
		Rotational: Attribute(sys, dir+"/queue/rotational") == "1" && transport != "virtio",
		Removable:  Attribute(sys, dir+"/removable") == "1",
		ReadOnly:   Attribute(sys, dir+"/ro") == "1",
		Transport:  transport,
		ByPath:     device.byPath(),
	}
}

func serialOf(sys fs.FS, dir string, device device) string {
	return first(device.usbSerial(), Attribute(sys, dir+"/serial"), Attribute(sys, dir+"/device/serial"), vpdSerial(sys, dir))
}

// vpdSerial is the serial number where SCSI keeps it: in page 0x80 of the
// vital product data, after a header of four bytes that ends with the length
// (SPC-4, 7.8.13).
func vpdSerial(sys fs.FS, dir string) string {
	page, err := fs.ReadFile(sys, dir+"/device/vpd_pg80")
	if err != nil || len(page) < 4 {
		return ""
	}
	text := page[4:]
	return strings.Trim(string(text[:min(len(text), int(page[3]))]), " \x00")
}

// DevicePath is the file of a disk of the kernel's: /sys writes the slash of
// "cciss/c0d0" as an exclamation mark.
func DevicePath(name string) string {
	return filepath.Join("/dev", strings.ReplaceAll(name, "!", "/"))
}

// Attribute reads a small file of /sys; "" where there is none.
func Attribute(sys fs.FS, name string) string {
	data, err := fs.ReadFile(sys, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.Trim(string(data), "\x00"))
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
