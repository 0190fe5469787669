package inspect

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/hardware/hardwaretest"
)

const (
	gib = "2097152\n" // sectors
	pci = "pci0000:00/0000:00:04.0/"
)

func TestInventoryHasTheMachine(t *testing.T) {
	sys := hardwaretest.NewSys(t)
	for name, value := range map[string]string{
		"class/dmi/id/sys_vendor": "Dell Inc.\n", "class/dmi/id/product_name": "PowerEdge R640\n", "class/dmi/id/product_serial": "ABC1234\n",
		"class/net/eth0/address": "52:54:00:00:00:01\n", "class/net/eth0/speed": "10000\n", "class/net/eth0/carrier": "1\n",
		"class/net/eth1/address": "52:54:00:00:00:02\n", "class/net/eth1/speed": "-1\n", // no cable
		"class/net/lo/address": "00:00:00:00:00:00\n",
	} {
		sys.Write(t, name, value)
	}
	sys.Link(t, "class/net/eth0/device/driver", "bus/pci/drivers/i40e")
	sys.Link(t, "class/net/eth1/device/driver", "bus/pci/drivers/tg3")
	sys.Disk(t, "pci0/virtio1/block/no-such-device", map[string]string{"size": gib})
	got, err := Inventory(sys.FS(), WatchDisks(t.Context(), sys.FS(), nothingNew))
	if err != nil {
		t.Fatal(err)
	}
	if got.Vendor != "Dell Inc." || got.Product != "PowerEdge R640" || got.Serial != "ABC1234" || got.CPUs < 1 || got.Memory < 1<<20 {
		t.Errorf("got %+v", got)
	}
	want := []provision.InterfaceInfo{
		{Name: "eth0", MAC: "52:54:00:00:00:01", Driver: "i40e", Speed: 10000, Up: true},
		{Name: "eth1", MAC: "52:54:00:00:00:02", Driver: "tg3"},
	}
	if !reflect.DeepEqual(got.Interfaces, want) {
		t.Errorf("got %+v", got.Interfaces)
	}
	if len(got.Disks) != 1 || got.Disks[0].Contents == "" {
		t.Errorf("a disk that cannot be read must not count as empty: %+v", got.Disks)
	}
}

func nothingNew(context.Context) (int, error) { return 0, nil }

// wantedNow is closed: the disks are wanted.
func wantedNow() <-chan struct{} {
	wanted := make(chan struct{})
	close(wanted)
	return wanted
}

// TestDisksSettleWhileTheNetworkComesUp: if a disk has been there for long when the network
// is up, the agent does not wait for others. It does wait if one appears at the last moment.
func TestDisksSettleWhileTheNetworkComesUp(t *testing.T) {
	for name, c := range map[string]struct {
		late  bool
		most  time.Duration
		least time.Duration
		disks int
	}{
		"settled": {false, 0, 0, 1},
		"late":    {true, settle + 2*settleStep, settle, 2},
	} {
		t.Run(name, func(t *testing.T) {
			sys := hardwaretest.NewSys(t)
			sys.Disk(t, pci+"virtio1/block/vda", map[string]string{"size": gib})
			synctest.Test(t, func(t *testing.T) {
				wait := WatchDisks(t.Context(), sys.FS(), nothingNew)
				time.Sleep(10 * settle) // the network comes up
				if c.late {
					sys.Disk(t, pci+"virtio2/block/vdb", map[string]string{"size": gib})
				}
				start := time.Now()
				disks, err := wait()
				if took := time.Since(start); err != nil || len(disks) != c.disks || took < c.least || took > c.most {
					t.Errorf("got %+v, %v after %s", disks, err, took)
				}
			})
		})
	}
}

func TestInventoryWaitsForDisksToSettle(t *testing.T) {
	sys := hardwaretest.NewSys(t)
	sys.Disk(t, pci+"virtio1/block/vda", map[string]string{"size": gib})
	synctest.Test(t, func(t *testing.T) {
		drivers := 0
		disks, err := settledDisks(t.Context(), sys.FS(), func(context.Context) (int, error) {
			if drivers++; drivers > 1 {
				return 0, nil
			}
			sys.Disk(t, pci+"virtio2/block/vdb", map[string]string{"size": gib}) // what the new driver finds
			return 1, nil
		}, wantedNow())
		if err != nil || len(disks) != 2 {
			t.Errorf("got %+v, %v", disks, err)
		}
	})
}

func TestInventoryOfAMachineWithoutDisks(t *testing.T) {
	sys := t.TempDir()
	if err := os.Mkdir(filepath.Join(sys, "block"), 0o755); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		disks, err := settledDisks(t.Context(), os.DirFS(sys), nothingNew, wantedNow())
		if err != nil || len(disks) != 0 || time.Since(start) > 2*settleLimit {
			t.Errorf("got %+v, %v after %s", disks, err, time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := settledDisks(ctx, os.DirFS(sys), nothingNew, wantedNow()); err == nil {
			t.Error("cancelled, and no error")
		}
	})
}
