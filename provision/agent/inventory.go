package agent

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
	"cloudlets/provision"
)

// settle is how long the disks that are seen must stay the same before they
// are taken for all that there are; settleLimit is when that is given up.
const (
	settle      = time.Second
	settleLimit = 30 * time.Second
)

// readInventory describes the machine from its /sys, once its disks have
// settled: controllers find them one after the other.
func readInventory(ctx context.Context, sys fs.FS) (provision.Inventory, error) {
	disks, err := settledDisks(ctx, sys)
	if err != nil {
		return provision.Inventory{}, err
	}
	for i := range disks {
		disks[i].Contents = contentsOf(disks[i])
	}
	inventory := provision.Inventory{
		Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Disks: disks, Interfaces: interfaces(sys),
		Vendor:  attribute(sys, "class/dmi/id/sys_vendor"),
		Product: attribute(sys, "class/dmi/id/product_name"),
		Serial:  attribute(sys, "class/dmi/id/product_serial"),
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		inventory.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	return inventory, nil
}

func settledDisks(ctx context.Context, sys fs.FS) ([]provision.DiskInfo, error) {
	deadline := time.Now().Add(settleLimit)
	var last []provision.DiskInfo
	for since := time.Now(); ; {
		now, err := listDisks(sys)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(last, now) {
			last, since = now, time.Now()
		}
		if len(now) > 0 && time.Since(since) >= settle || time.Now().After(deadline) {
			return now, nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// notDisks are block devices that no system is installed on.
var notDisks = regexp.MustCompile(`^(loop|ram|zram|dm-|md|sr|fd|nbd|mtdblock|drbd)`)

func listDisks(sys fs.FS) ([]provision.DiskInfo, error) {
	names, err := fs.ReadDir(sys, "block")
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	var disks []provision.DiskInfo
	for _, name := range names {
		// eMMC boot areas and hidden multipath members are no disks either.
		if notDisks.MatchString(name.Name()) || strings.Contains(name.Name(), "boot") || attribute(sys, "block/"+name.Name()+"/hidden") == "1" {
			continue
		}
		if d := describeDisk(sys, name.Name()); d.Size > 0 {
			disks = append(disks, d)
		}
	}
	return disks, nil
}

func describeDisk(sys fs.FS, name string) provision.DiskInfo {
	dir := "block/" + name
	sectors, _ := strconv.ParseInt(attribute(sys, dir+"/size"), 10, 64)
	device := devicePath(sys, dir)
	return provision.DiskInfo{
		Name: name, Size: sectors * 512, // always 512, whatever the disk's sector is
		Model:      first(attribute(sys, dir+"/device/model"), attribute(sys, dir+"/device/name")),
		Serial:     serialOf(sys, dir),
		WWN:        first(attribute(sys, dir+"/device/wwid"), attribute(sys, dir+"/wwid")),
		Rotational: attribute(sys, dir+"/queue/rotational") == "1" && transport(device, name) != "virtio",
		Removable:  attribute(sys, dir+"/removable") == "1",
		ReadOnly:   attribute(sys, dir+"/ro") == "1",
		Transport:  transport(device, name),
		ByPath:     byPath(device, name),
	}
}

func serialOf(sys fs.FS, dir string) string {
	for _, name := range []string{"/serial", "/device/serial"} {
		if s := attribute(sys, dir+name); s != "" {
			return s
		}
	}
	// SCSI keeps it in page 0x80 of the vital product data, after a header
	// of four bytes (SPC-4, 7.8.13).
	page, err := fs.ReadFile(sys, dir+"/device/vpd_pg80")
	if err != nil || len(page) <= 4 {
		return ""
	}
	return strings.Trim(string(page[4:]), " \x00")
}

// devicePath is the disk's place in the tree of devices.
func devicePath(sys fs.FS, dir string) string {
	target, err := fs.ReadLink(sys, dir)
	if err != nil {
		return ""
	}
	return path.Join("/block", target)
}

func transport(device, name string) string {
	switch {
	case strings.HasPrefix(name, "nvme"):
		return "nvme"
	case strings.HasPrefix(name, "mmcblk"):
		return "mmc"
	case strings.Contains(device, "/usb"):
		return "usb"
	case strings.Contains(device, "/virtio"):
		return "virtio"
	case strings.Contains(device, "/ata"):
		return "sata"
	case strings.Contains(device, "/end_device-"):
		return "sas"
	case strings.Contains(device, "/vmbus") || strings.Contains(device, "/VMBUS"):
		return "hyperv"
	default:
		return ""
	}
}

var (
	pciAddress = regexp.MustCompile(`[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]`)
	ataPort    = regexp.MustCompile(`/ata(\d+)/`)
	scsiPlace  = regexp.MustCompile(`/(\d+):(\d+):(\d+):(\d+)/`)
	nvmeSpace  = regexp.MustCompile(`^nvme\d+n(\d+)$`)
)

// byPath is the name that udev gives the disk in /dev/disk/by-path.
func byPath(device, name string) string {
	all := pciAddress.FindAllString(device, -1)
	if len(all) == 0 {
		return ""
	}
	place := "pci-" + all[len(all)-1]
	switch transport(device, name) {
	case "nvme":
		if m := nvmeSpace.FindStringSubmatch(name); m != nil {
			return place + "-nvme-" + m[1]
		}
	case "sata":
		if m := ataPort.FindStringSubmatch(device); m != nil {
			return place + "-ata-" + m[1]
		}
	default:
		if m := scsiPlace.FindStringSubmatch(device); m != nil {
			return fmt.Sprintf("%s-scsi-0:%s:%s:%s", place, m[2], m[3], m[4])
		}
	}
	return place
}

func interfaces(sys fs.FS) []provision.InterfaceInfo {
	names, _ := fs.ReadDir(sys, "class/net")
	var list []provision.InterfaceInfo
	for _, name := range names {
		dir := "class/net/" + name.Name()
		driver, _ := fs.ReadLink(sys, dir+"/device/driver")
		speed, _ := strconv.Atoi(attribute(sys, dir+"/speed"))
		if mac := attribute(sys, dir+"/address"); mac != "" && driver != "" {
			list = append(list, provision.InterfaceInfo{
				Name: name.Name(), MAC: mac, Driver: path.Base(driver), Speed: max(speed, 0), Up: attribute(sys, dir+"/carrier") == "1",
			})
		}
	}
	return list
}

// attribute reads a small file of /sys; "" where there is none.
func attribute(sys fs.FS, name string) string {
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

// contentsOf says what is on a disk now; "" when it is blank.
func contentsOf(d provision.DiskInfo) string {
	f, err := os.Open(filepath.Join("/dev", d.Name))
	if err != nil {
		return "unreadable: " + err.Error()
	}
	defer f.Close()
	found, err := disk.Identify(f, d.Size)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	if len(found) == 0 {
		return ""
	}
	return disk.Describe(found)
}
