package inspect

import (
	"context"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk/probe"
	"cloudlets/provision"
	"cloudlets/provision/hardware"
)

// The list of disks counts as complete once it has stayed the same for the
// time settle. After settleLimit it counts as complete even if it is empty, or
// if drivers were just loaded. settleStep is the time between two looks.
const (
	settle      = time.Second
	settleLimit = 30 * time.Second
	settleStep  = 100 * time.Millisecond
)

// Inventory describes the machine from its /sys, and says what is on its disks. disks
// returns these, as what [WatchDisks] returns does, or [hardware.Disks]; its error is the only
// one. What else cannot be found out is left empty.
func Inventory(sys fs.FS, disks func() ([]provision.DiskInfo, error)) (provision.Inventory, error) {
	found, err := disks()
	if err != nil {
		return provision.Inventory{}, err
	}
	for i := range found {
		found[i].Contents = contentsOfDisk(found[i])
	}
	inventory := provision.Inventory{
		Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Disks: found, Interfaces: interfaces(sys),
		Vendor:  hardware.Attribute(sys, "class/dmi/id/sys_vendor"),
		Product: hardware.Attribute(sys, "class/dmi/id/product_name"),
		Serial:  hardware.Attribute(sys, "class/dmi/id/product_serial"),
		UUID:    hardware.Attribute(sys, "class/dmi/id/product_uuid"),
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		inventory.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	return inventory, nil
}

// WatchDisks starts to watch the machine's disks, so that they settle while the network
// comes up. wait returns them once no new one has come for a second, or after half a minute;
// it is to be called once. again loads drivers for devices that came meanwhile, and returns
// how many.
func WatchDisks(ctx context.Context, sys fs.FS, again func(context.Context) (int, error)) (wait func() ([]provision.DiskInfo, error)) {
	wanted, settled := make(chan struct{}), make(chan struct{})
	var disks []provision.DiskInfo
	var err error
	go func() {
		defer close(settled)
		disks, err = settledDisks(ctx, sys, again, wanted)
	}()
	return func() ([]provision.DiskInfo, error) {
		close(wanted)
		<-settled
		return disks, err
	}
}

// settledDisks lists the disks. It returns when they are wanted and no new disk has
// appeared for the time settle, since controllers find disks one after the other. New
// devices may need drivers: again loads them and returns their number.
func settledDisks(ctx context.Context, sys fs.FS, again func(context.Context) (int, error), wanted <-chan struct{}) ([]provision.DiskInfo, error) {
	var last []provision.DiskInfo
	var begin time.Time // when they were wanted
	for since := time.Now(); ; {
		now, err := hardware.Disks(sys)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(last, now) {
			last, since = now, time.Now()
		}
		if !begin.IsZero() && time.Since(since) >= settle {
			loaded, err := again(ctx)
			if err != nil {
				return nil, err
			}
			if loaded == 0 && len(now) > 0 || time.Since(begin) >= settleLimit {
				return now, nil
			}
			since = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-wanted:
			begin, wanted = time.Now(), nil
		case <-time.After(settleStep):
		}
	}
}

func interfaces(sys fs.FS) []provision.InterfaceInfo {
	names, _ := fs.ReadDir(sys, "class/net")
	var list []provision.InterfaceInfo
	for _, name := range names {
		dir := "class/net/" + name.Name()
		driver, _ := fs.ReadLink(sys, dir+"/device/driver")
		speed, _ := strconv.Atoi(hardware.Attribute(sys, dir+"/speed"))
		if mac := hardware.Attribute(sys, dir+"/address"); mac != "" && driver != "" {
			list = append(list, provision.InterfaceInfo{
				Name: name.Name(), MAC: mac, Driver: path.Base(driver), Speed: max(speed, 0), Up: hardware.Attribute(sys, dir+"/carrier") == "1",
			})
		}
	}
	return list
}

func contentsOfDisk(d provision.DiskInfo) string {
	f, err := openToRead(hardware.DevicePath(d.Name))
	if err != nil {
		return "unreadable: " + err.Error()
	}
	defer f.Close()
	return probe.Contents(f, d.Size)
}
