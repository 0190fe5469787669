package hardware

import (
	"os"
	"path/filepath"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/hardware/hardwaretest"
)

const (
	gib     = "2097152\n" // sectors
	pci     = "pci0000:00/0000:00:04.0/"
	bridged = "pci0000:00/0000:00:1c.0/0000:03:00.0/"
)

// someDisks are disks as the kernel shows them, and what they are.
var someDisks = []struct {
	place      string
	attributes map[string]string
	more       map[string]string // elsewhere in /sys
	want       provision.DiskInfo
}{
	{
		pci + "virtio1/block/vda", map[string]string{"size": gib, "serial": "DISK1", "queue/rotational": "1"}, nil,
		provision.DiskInfo{Name: "vda", Size: 1 << 30, Serial: "DISK1", Transport: "virtio", ByPath: "pci-0000:00:04.0"},
	}, {
		pci + "virtio2/host7/target7:0:1/7:0:1:3/block/sdb", map[string]string{"size": gib, "../../model": "QEMU HARDDISK   "}, nil,
		provision.DiskInfo{Name: "sdb", Size: 1 << 30, Model: "QEMU HARDDISK", Transport: "virtio", ByPath: "pci-0000:00:04.0-scsi-0:0:1:3"},
	}, {
		"platform/a003c00.virtio_mmio/virtio0/block/vdb", map[string]string{"size": gib}, nil,
		provision.DiskInfo{Name: "vdb", Size: 1 << 30, Transport: "virtio", ByPath: "platform-a003c00.virtio_mmio"},
	}, {
		"platform/4010000000.pcie/pci0000:00/0000:00:03.0/virtio0/block/vdc", map[string]string{"size": gib}, nil,
		provision.DiskInfo{Name: "vdc", Size: 1 << 30, Transport: "virtio", ByPath: "platform-4010000000.pcie-pci-0000:00:03.0"},
	}, {
		bridged + "nvme/nvme0/nvme0n1", map[string]string{"size": gib, "nsid": "1", "wwid": "eui.0025385b71b00c3e\n", "device/model": "SAMSUNG MZVL2512    ", "device/serial": "S64KNX0R"}, nil,
		provision.DiskInfo{Name: "nvme0n1", Size: 1 << 30, Model: "SAMSUNG MZVL2512", Serial: "S64KNX0R", WWN: "eui.0025385b71b00c3e", Transport: "nvme", ByPath: "pci-0000:03:00.0-nvme-1"},
	}, {
		"virtual/nvme-subsystem/nvme-subsys1/nvme1n2", map[string]string{"size": gib}, nil,
		provision.DiskInfo{Name: "nvme1n2", Size: 1 << 30, Transport: "nvme"},
	}, {
		"pci0000:00/0000:00:1f.2/ata7/host6/target6:0:0/6:0:0:0/block/sdc",
		map[string]string{"size": gib, "queue/rotational": "1\n", "../../model": "WDC WD10EZEX", "../../vpd_pg80": "\x00\x80\x00\x14     WD-WCC6Y0SNAFPE\x00\x00junk", "../../wwid": "naa.50014ee2b9c8f2a5"},
		map[string]string{"class/ata_port/ata7/port_no": "3\n"},
		provision.DiskInfo{Name: "sdc", Size: 1 << 30, Model: "WDC WD10EZEX", Serial: "WD-WCC6Y0SNAFPE", WWN: "naa.50014ee2b9c8f2a5", Rotational: true, Transport: "sata", ByPath: "pci-0000:00:1f.2-ata-3.0"},
	}, {
		"pci0000:00/0000:00:1f.2/ata8/host8/target8:2:0/8:2:0:0/block/sdk", map[string]string{"size": gib},
		map[string]string{"class/ata_port/ata8/port_no": "4\n"},
		provision.DiskInfo{Name: "sdk", Size: 1 << 30, Transport: "sata", ByPath: "pci-0000:00:1f.2-ata-4.2.0"}, // behind a multiplier
	}, {
		bridged + "host0/port-0:1/end_device-0:1/target0:0:1/0:0:1:0/block/sdd", map[string]string{"size": gib},
		map[string]string{"class/sas_port/port-0:1/num_phys": "1\n", "class/sas_device/end_device-0:1/phy_identifier": "2\n"},
		provision.DiskInfo{Name: "sdd", Size: 1 << 30, Transport: "sas", ByPath: "pci-0000:03:00.0-sas-phy2-lun-0"},
	}, {
		bridged + "host0/port-0:0/expander-0:0/port-0:0:5/end_device-0:0:5/target0:0:9/0:0:9:0/block/sde", map[string]string{"size": gib},
		map[string]string{"class/sas_port/port-0:0:5/num_phys": "1", "class/sas_device/end_device-0:0:5/phy_identifier": "5", "class/sas_device/expander-0:0/sas_address": "0x500056b3f9e5a6ff"},
		provision.DiskInfo{Name: "sde", Size: 1 << 30, Transport: "sas", ByPath: "pci-0000:03:00.0-sas-exp0x500056b3f9e5a6ff-phy5-lun-0"},
	}, {
		bridged + "host0/port-0:2/end_device-0:2/target0:0:2/0:0:2:0/block/sdf", map[string]string{"size": gib},
		map[string]string{"class/sas_port/port-0:2/num_phys": "2", "class/sas_device/end_device-0:2/sas_address": "0x5000c500a1b2c3d5"},
		provision.DiskInfo{Name: "sdf", Size: 1 << 30, Transport: "sas", ByPath: "pci-0000:03:00.0-sas-0x5000c500a1b2c3d5-lun-0"},
	}, {
		"pci0000:00/0000:00:14.0/usb3/3-1/3-1.2/3-1.2:1.0/host9/target9:0:0/9:0:0:0/block/sdg",
		map[string]string{"size": gib, "removable": "1", "../../model": "Ultra", "../../../../../../serial": "4C530001"}, nil,
		provision.DiskInfo{Name: "sdg", Size: 1 << 30, Model: "Ultra", Serial: "4C530001", Removable: true, Transport: "usb", ByPath: "pci-0000:00:14.0-usb-0:1.2:1.0-scsi-0:0:0:0"},
	}, {
		"platform/soc/3f300000.mmc/mmc_host/mmc0/mmc0:0001/block/mmcblk0", map[string]string{"size": gib, "ro": "1", "device/name": "SEM16G", "device/serial": "0x12345678"}, nil,
		provision.DiskInfo{Name: "mmcblk0", Size: 1 << 30, Model: "SEM16G", Serial: "0x12345678", ReadOnly: true, Transport: "mmc", ByPath: "platform-3f300000.mmc"},
	}, { // a card in a reader on the PCI bus, and soldered memory
		"pci0000:00/0000:00:1d.0/rtsx_pci_sdmmc.0/mmc_host/mmc1/mmc1:aaaa/block/mmcblk1", map[string]string{"size": gib, "removable": "0\n", "device/name": "SD32G", "device/type": "SD\n"}, nil,
		provision.DiskInfo{Name: "mmcblk1", Size: 1 << 30, Model: "SD32G", Removable: true, Transport: "mmc", ByPath: "pci-0000:00:1d.0"},
	}, {
		"platform/soc/3f300000.mmc/mmc_host/mmc0/mmc0:0001/block/mmcblk2", map[string]string{"size": gib, "device/type": "MMC\n"}, nil,
		provision.DiskInfo{Name: "mmcblk2", Size: 1 << 30, Transport: "mmc", ByPath: "platform-3f300000.mmc"},
	}, {
		bridged + "host11/target11:2:0/11:2:0:0/block/sdh", map[string]string{"size": gib, "../../../../../host10/x": ""}, nil, // a RAID controller with two hosts
		provision.DiskInfo{Name: "sdh", Size: 1 << 30, ByPath: "pci-0000:03:00.0-scsi-1:2:0:0"},
	}, {
		bridged + "host12/rport-12:0-1/target12:0:1/12:0:1:0/block/sdi", map[string]string{"size": gib}, nil,
		provision.DiskInfo{Name: "sdi", Size: 1 << 30, Transport: "fc"},
	},
}

// notInstallable are block devices that no system is installed on.
var notInstallable = map[string]map[string]string{
	"virtual/block/loop0":    {"size": gib},
	"virtual/block/ram0":     {"size": gib},
	"virtual/block/zram0":    {"size": gib},
	"virtual/block/dm-0":     {"size": gib},
	"virtual/block/md127":    {"size": gib},
	"pci0000:00/ata2/x/sr0":  {"size": gib, "removable": "1"},
	"mmc/block/mmcblk0boot0": {"size": gib},
	"pci0000:00/x/nvme2c0n1": {"size": gib, "hidden": "1"},
	"usb/x/sdz":              {"size": "0\n", "removable": "1"}, // a card reader without a card
	"virtual/block/nbd0":     {"size": gib},
	"virtual/block/nullb0":   {"size": gib},
	"virtual/block/pktcdvd0": {"size": gib},
	"mmc/block/mmcblk0rpmb":  {"size": gib},

	"virtual/ublk-char/ublkc0/block/ublkb0":               {"size": gib},
	"LNXSYSTM:00/ndbus0/region0/namespace0.0/block/pmem0": {"size": gib},
	"platform/floppy.0/x/fd0":                             {"size": "8"},
}

func TestDisksAreDescribedAsUdevWould(t *testing.T) {
	for _, c := range someDisks {
		sys := hardwaretest.NewSys(t)
		sys.Disk(t, c.place, c.attributes)
		for name, value := range c.more {
			sys.Write(t, name, value)
		}
		// The disk's "device" leads up to what it is a disk of.
		up := filepath.Dir(filepath.Dir("devices/" + c.place))
		if _, own := os.Stat(filepath.Join(string(sys), "devices", c.place, "device")); own != nil {
			sys.Link(t, filepath.Join("devices", c.place, "device"), up)
		}
		got, err := Disks(sys.FS())
		if err != nil || len(got) != 1 || got[0] != c.want {
			t.Errorf("%s:\ngot  %+v (%v)\nwant %+v", c.place, got, err, c.want)
		}
	}
}

func TestWhatIsNoDiskIsNotListed(t *testing.T) {
	sys := hardwaretest.NewSys(t)
	for place, attributes := range notInstallable {
		sys.Disk(t, place, attributes)
	}
	if got, err := Disks(sys.FS()); err != nil || len(got) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPartitionsHaveTheKernelsNames(t *testing.T) {
	for name, want := range map[string]string{"sda": "/dev/sda3", "nvme0n1": "/dev/nvme0n1p3", "mmcblk0": "/dev/mmcblk0p3", "cciss!c0d0": "/dev/cciss/c0d0p3"} {
		if got := PartitionPath(name, 3); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
