package agent

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
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
	settleStep  = 100 * time.Millisecond
)

// readInventory describes the machine from its /sys, once its disks have
// settled: controllers find them one after the other. What appears may want
// drivers; again loads them and tells how many those were.
func readInventory(ctx context.Context, sys fs.FS, again func(context.Context) (int, error)) (provision.Inventory, error) {
	disks, err := settledDisks(ctx, sys, again)
	if err != nil {
		return provision.Inventory{}, err
	}
	for i := range disks {
		disks[i].Contents = contentsOfDisk(disks[i])
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

func settledDisks(ctx context.Context, sys fs.FS, again func(context.Context) (int, error)) ([]provision.DiskInfo, error) {
	var last []provision.DiskInfo
	begin := time.Now()
	for since := begin; ; {
		now, err := listDisks(sys)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(last, now) {
			last, since = now, time.Now()
		}
		if time.Since(since) >= settle {
			loaded, err := again(ctx)
			if err != nil {
				return nil, err
			}
			if loaded == 0 && len(now) > 0 || time.Since(begin) >= settleLimit {
				return now, nil
			}
			since = time.Now()
		}
		if err := pause(ctx, settleStep); err != nil {
			return nil, err
		}
	}
}

// notDisks are block devices that no system is installed on.
var notDisks = regexp.MustCompile(`^(loop|ram|zram|dm-|md|sr|fd|nbd|mtdblock|drbd|rbd|bcache|zd|ublkb)\d|^mmcblk\d+(boot|gp)`)

func listDisks(sys fs.FS) ([]provision.DiskInfo, error) {
	names, err := fs.ReadDir(sys, "block")
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	var disks []provision.DiskInfo
	for _, name := range names {
		// Hidden members of a multipath device are no disks either.
		if notDisks.MatchString(name.Name()) || attribute(sys, "block/"+name.Name()+"/hidden") == "1" {
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
	device := findDevice(sys, name)
	transport := device.transport()
	return provision.DiskInfo{
		Name: name, Size: sectors * 512, // always 512, whatever the disk's sector is
		Model:      first(attribute(sys, dir+"/device/model"), attribute(sys, dir+"/device/name")),
		Serial:     serialOf(sys, dir, device),
		WWN:        first(attribute(sys, dir+"/device/wwid"), attribute(sys, dir+"/wwid")),
		Rotational: attribute(sys, dir+"/queue/rotational") == "1" && transport != "virtio",
		Removable:  attribute(sys, dir+"/removable") == "1",
		ReadOnly:   attribute(sys, dir+"/ro") == "1",
		Transport:  transport,
		ByPath:     device.byPath(),
	}
}

func serialOf(sys fs.FS, dir string, device device) string {
	return first(device.usbSerial(), attribute(sys, dir+"/serial"), attribute(sys, dir+"/device/serial"), vpdSerial(sys, dir))
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

// contentsOf says what is on a disk now; "" when it is blank. What cannot be
// read counts as something.
func contentsOf(r io.ReaderAt, size int64) (text string, cloudlet bool) {
	found, err := disk.Identify(r, size)
	if err != nil {
		return "unreadable: " + err.Error(), false
	}
	if len(found) == 0 {
		return "", false
	}
	cloudlet = slices.ContainsFunc(found, func(c disk.Content) bool { return c.Label == rootLabel })
	return disk.Describe(found), cloudlet
}

func contentsOfDisk(d provision.DiskInfo) string {
	f, err := os.Open(devicePath(d.Name))
	if err != nil {
		return "unreadable: " + err.Error()
	}
	defer f.Close()
	text, _ := contentsOf(f, d.Size)
	return text
}
