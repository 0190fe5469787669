package hardware

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"cloudlets/images/lazyregexp"
)

// device is a disk's place in the kernel's tree of devices. It tells how the disk
// is attached, and which name the disk has in /dev/disk/by-path.
type device struct {
	sys  fs.FS
	name string // "sda"
	path string // "devices/pci0000:00/…/block/sda"; "" if unknown
}

func findDevice(sys fs.FS, name string) device {
	target, err := fs.ReadLink(sys, "block/"+name)
	if err != nil {
		return device{sys: sys, name: name}
	}
	return device{sys, name, path.Join("block", target)}
}

var (
	ataPort = lazyregexp.New(`/(ata\d+)/`)
	vmbus   = lazyregexp.New(`(?i)/(?:vmbus_[0-9]+|vmbus:[0-9]+)/`)
	rport   = lazyregexp.New(`/rport-[0-9:-]+/`)
)

// transport says how a disk is attached, or returns "" if that is unknown.
func (d device) transport() string {
	for _, t := range []struct {
		name string
		is   bool
	}{
		{"nvme", strings.HasPrefix(d.name, "nvme")},
		{"mmc", strings.HasPrefix(d.name, "mmcblk")},
		{"usb", strings.Contains(d.path, "/usb")},
		{"virtio", strings.Contains(d.path, "/virtio")},
		{"sata", ataPort().MatchString(d.path)},
		{"sas", strings.Contains(d.path, "/end_device-")},
		{"fc", rport().MatchString(d.path)},
		{"iscsi", strings.Contains(d.path, "/session")},
		{"hyperv", vmbus().MatchString(d.path)},
		{"xen", strings.HasPrefix(d.name, "xvd")},
	} {
		if t.is {
			return t.name
		}
	}
	return ""
}

var (
	pciAddress = lazyregexp.New(`^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)
	usbPort    = lazyregexp.New(`^\d+-([\d.]+:\d+\.\d+)$`)
	usbDevice  = lazyregexp.New(`^\d+-[\d.]+$`)
	scsiPlace  = lazyregexp.New(`/host(\d+)/(?:.*/)?\d+:(\d+):(\d+):(\d+)/`)
)

// byPath returns the name that udev's path_id gives the disk in
// /dev/disk/by-path, or "" if the name depends on things that are not known here.
func (d device) byPath() string {
	place := d.controller()
	if place == "" {
		return ""
	}
	if port := d.part(usbPort()); port != "" {
		place += "-usb-0:" + usbPort().FindStringSubmatch(port)[1]
	}
	switch d.transport() {
	case "nvme":
		return place + "-nvme-" + d.namespace()
	case "fc", "iscsi", "hyperv", "xen":
		return ""
	}
	if !scsiPlace().MatchString(d.path) {
		return place
	}
	if unit := d.unit(); unit != "" {
		return place + "-" + unit
	}
	return ""
}

// attached matches the first part of a path that belongs to what is plugged into
// a board's own controllers.
var attached = lazyregexp.New(`^(mmc_host|pci[0-9a-f]{4,}:[0-9a-f]{2}|(virtio|ata|host|usb|nvme)\d*)$`)

// controller returns where the disk's bus begins: the name in the firmware's
// description of a board, the last PCI address, or both.
func (d device) controller() string {
	board, pci := "", ""
	rest, onBoard := strings.CutPrefix(d.path, "devices/platform/")
	for part := range strings.SplitSeq(rest, "/") {
		onBoard = onBoard && !attached().MatchString(part)
		switch {
		case pciAddress().MatchString(part):
			pci = "pci-" + part
		case onBoard:
			board = "platform-" + part
		}
	}
	if board != "" && pci != "" {
		return board + "-" + pci
	}
	return board + pci
}

// part returns the last component of the path that matches form, or "".
func (d device) part(form *regexp.Regexp) string {
	found := ""
	for p := range strings.SplitSeq(d.path, "/") {
		if form.MatchString(p) {
			found = p
		}
	}
	return found
}

func (d device) namespace() string {
	if id := Attribute(d.sys, "block/"+d.name+"/nsid"); id != "" {
		return id
	}
	_, id, _ := strings.Cut(strings.TrimPrefix(d.name, "nvme"), "n")
	return id
}

// unit returns the name of a SCSI disk below its controller.
func (d device) unit() string {
	m := scsiPlace().FindStringSubmatch(d.path)
	bus, target, lun := m[2], m[3], m[4]
	switch d.transport() {
	case "sata":
		return d.ataUnit(bus, target)
	case "sas":
		return d.sasUnit(lun)
	}
	return fmt.Sprintf("scsi-%d:%s:%s:%s", d.hostBehindController(m[1]), bus, target, lun)
}

// ataUnit uses the number of the port within its controller. The number in the
// kernel's name counts all ports of the machine.
func (d device) ataUnit(bus, target string) string {
	name := ataPort().FindStringSubmatch(d.path)[1]
	port := Attribute(d.sys, "class/ata_port/"+name+"/port_no")
	if port == "" {
		return ""
	}
	if bus != "0" { // behind a port multiplier
		return fmt.Sprintf("ata-%s.%s.0", port, bus)
	}
	return fmt.Sprintf("ata-%s.%s", port, target)
}

var (
	sasPort     = lazyregexp.New(`^port-[\d:]+$`)
	sasEnd      = lazyregexp.New(`^end_device-[\d:]+$`)
	sasExpander = lazyregexp.New(`^expander-[\d:]+$`)
)

// sasUnit names a disk by the connector that it is plugged into, or by its own
// address if it is plugged into several.
func (d device) sasUnit(lun string) string {
	end := "class/sas_device/" + d.part(sasEnd()) + "/"
	if Attribute(d.sys, "class/sas_port/"+d.part(sasPort())+"/num_phys") != "1" {
		if address := Attribute(d.sys, end+"sas_address"); address != "" {
			return "sas-" + address + "-lun-" + lun
		}
		return ""
	}
	phy := Attribute(d.sys, end+"phy_identifier")
	if phy == "" {
		return ""
	}
	if expander := d.part(sasExpander()); expander != "" {
		return "sas-exp" + Attribute(d.sys, "class/sas_device/"+expander+"/sas_address") + "-phy" + phy + "-lun-" + lun
	}
	return "sas-phy" + phy + "-lun-" + lun
}

// hostBehindController returns the number of a host among the controller's own,
// from 0. The kernel's number counts the hosts of the whole machine.
func (d device) hostBehindController(host string) int {
	n, _ := strconv.Atoi(host)
	parent, _, _ := strings.Cut(d.path, "/host"+host+"/")
	base := n
	names, _ := fs.ReadDir(d.sys, parent)
	for _, entry := range names {
		if digits, ok := strings.CutPrefix(entry.Name(), "host"); ok {
			if other, err := strconv.Atoi(digits); err == nil {
				base = min(base, other)
			}
		}
	}
	return n - base
}

// usbSerial returns the serial number of the USB device. It identifies the device
// better than the serial of the disk inside, which the USB bridge may invent.
func (d device) usbSerial() string {
	name := d.part(usbDevice())
	if name == "" || d.transport() != "usb" {
		return ""
	}
	dir, _, _ := strings.Cut(d.path, "/"+name+"/")
	return Attribute(d.sys, dir+"/"+name+"/serial")
}
