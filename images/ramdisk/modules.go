package ramdisk

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/boot"
)

// A class is a reason for a kernel module to be in the RAM disk.
type class string

// The classes of modules.
const (
	network    class = "network"
	storage    class = "storage"
	filesystem class = "filesystem"
	support    class = "support" // buses and libraries that the other classes need
)

// wanted maps paths below kernel/ to the class of the modules there. The longest prefix
// applies. Modules of an empty class are left out unless others depend on them. Modules
// that drive no hardware themselves are [support], so they do not count as drivers.
var wanted = map[string]class{
	"drivers/net/":                       network,
	"drivers/net/mii.":                   support,
	"drivers/net/net_failover.":          support,
	"drivers/net/mdio/":                  support,
	"drivers/net/phy/":                   support,
	"drivers/net/pcs/":                   support,
	"net/packet/":                        support,
	"net/ipv6/ipv6.":                     support,
	"drivers/net/arcnet/":                "",
	"drivers/net/bonding/":               "",
	"drivers/net/can/":                   "",
	"drivers/net/dummy.":                 "",
	"drivers/net/eql.":                   "",
	"drivers/net/geneve.":                "",
	"drivers/net/gtp.":                   "",
	"drivers/net/hamradio/":              "",
	"drivers/net/ieee802154/":            "",
	"drivers/net/ifb.":                   "",
	"drivers/net/ipvlan/":                "",
	"drivers/net/loopback.":              "",
	"drivers/net/macsec.":                "",
	"drivers/net/macvlan.":               "",
	"drivers/net/macvtap.":               "",
	"drivers/net/netconsole.":            "",
	"drivers/net/netdevsim/":             "",
	"drivers/net/nlmon.":                 "",
	"drivers/net/plip/":                  "",
	"drivers/net/ppp/":                   "",
	"drivers/net/slip/":                  "",
	"drivers/net/tap.":                   "",
	"drivers/net/team/":                  "",
	"drivers/net/tun.":                   "",
	"drivers/net/veth.":                  "",
	"drivers/net/vrf.":                   "",
	"drivers/net/vsockmon.":              "",
	"drivers/net/vxlan":                  "",
	"drivers/net/wireguard/":             "",
	"drivers/net/wireless/":              "",
	"drivers/net/wwan/":                  "",
	"drivers/net/xen-netback/":           "",
	"drivers/ata/":                       storage,
	"drivers/ata/libata.":                support,
	"drivers/ata/libahci":                support,
	"drivers/block/":                     storage,
	"drivers/block/aoe/":                 "",
	"drivers/block/brd.":                 "",
	"drivers/block/drbd/":                "",
	"drivers/block/loop.":                "",
	"drivers/block/nbd.":                 support, // a live machine's root
	"drivers/block/null_blk/":            "",
	"drivers/block/pktcdvd.":             "",
	"drivers/block/rbd.":                 "",
	"drivers/block/rnbd/":                "",
	"drivers/block/ublk_drv.":            "",
	"drivers/block/xen-blkback/":         "",
	"drivers/block/zram/":                "",
	"drivers/scsi/":                      storage,
	"drivers/scsi/scsi_mod.":             support,
	"drivers/scsi/scsi_common.":          support,
	"drivers/scsi/scsi_transport_":       support,
	"drivers/scsi/sd_mod.":               support,
	"drivers/firmware/edd.":              support, // which disk BIOS starts
	"drivers/scsi/device_handler/":       support,
	"drivers/scsi/libfc/":                support,
	"drivers/scsi/libiscsi":              support,
	"drivers/scsi/libsas/":               support,
	"drivers/scsi/raid_class.":           support,
	"drivers/scsi/ch.":                   "",
	"drivers/scsi/iscsi_":                "",
	"drivers/scsi/scsi_debug.":           "",
	"drivers/scsi/ses.":                  "",
	"drivers/scsi/sg.":                   "",
	"drivers/scsi/sr_mod.":               "",
	"drivers/scsi/st.":                   "",
	"drivers/nvme/":                      storage,
	"drivers/nvme/common/":               support,
	"drivers/nvme/host/nvme-core.":       support,
	"drivers/nvme/host/nvme-fabrics.":    "",
	"drivers/nvme/host/nvme-fc.":         "",
	"drivers/nvme/host/nvme-rdma.":       "",
	"drivers/nvme/host/nvme-tcp.":        "",
	"drivers/nvme/target/":               "",
	"drivers/md/md-mod.":                 support, // a system on two disks
	"drivers/md/raid1.":                  support,
	"drivers/mmc/":                       storage,
	"drivers/mmc/core/":                  support,
	"drivers/message/":                   storage,
	"drivers/usb/storage/":               storage,
	"drivers/virtio/":                    support,
	"drivers/usb/host/":                  support,
	"drivers/usb/core/":                  support,
	"drivers/usb/common/":                support,
	"drivers/hid/hid-hyperv.ko":          support,
	"drivers/hv/":                        support,
	"drivers/xen/":                       support,
	"drivers/pci/controller/":            support,
	"drivers/phy/":                       support,
	"drivers/char/hw_random/virtio-rng.": support,
	"fs/ext4/":                           filesystem,
	"fs/erofs/":                          filesystem,
	"fs/overlayfs/":                      filesystem,
	"fs/xfs/":                            filesystem,
	"fs/btrfs/":                          filesystem,
	"fs/efivarfs/":                       filesystem,
	"lib/libcrc32c.":                     filesystem,
	"crypto/crc32c_generic.":             filesystem,
	"arch/x86/crypto/crc32c-intel.":      filesystem,
}

// classIn returns the class of the module at a path such as
// "kernel/drivers/net/virtio_net.ko.xz". It is "" for a module that is left out.
func classIn(wanted map[string]class, module string) class {
	rest, ok := strings.CutPrefix(module, "kernel/")
	if !ok {
		return ""
	}
	best, found := "", class("")
	for prefix, c := range wanted {
		if strings.HasPrefix(rest, prefix) && len(prefix) > len(best) {
			best, found = prefix, c
		}
	}
	return found
}

// moduleSet holds the modules that an image's kernel has, from its modules.* files.
type moduleSet struct {
	dir     string // e.g. "/usr/lib/modules/6.1.0-31-amd64", without links
	deps    map[string][]string
	byName  map[string]string // module name to path
	builtin map[string]class
	soft    map[string][]string // module name to names or aliases of soft dependencies
	alias   map[string][]string // alias without wildcards to module names
	wanted  map[string]class
}

// maxIndex is the size in bytes of the largest modules.* file that is read. Debian's
// largest has 1.5 MB.
const maxIndex = 64 << 20

// readModules reads the module indexes of one kernel version, which are in dir; ""
// is the usual place.
func readModules(tree images.Tree, version, dir string, purpose Purpose) (*moduleSet, error) {
	dir, err := images.Resolve(tree, cmp.Or(dir, path.Join("/lib/modules", version)))
	if err != nil {
		return nil, fmt.Errorf("find the modules of kernel %s: %w (the image needs /lib/modules/%[1]s: install its kernel's package)", version, err)
	}
	s := &moduleSet{dir: dir, deps: map[string][]string{}, byName: map[string]string{}, builtin: map[string]class{}, soft: map[string][]string{}, alias: map[string][]string{}, wanted: purpose.wanted(tree)}
	if err := s.read(tree, "modules.dep", s.addDep); err != nil {
		return nil, fmt.Errorf("read the modules of kernel %s: %w (run depmod in the image)", version, err)
	}
	if err := s.read(tree, "modules.builtin", func(line string) { s.builtin[line] = classIn(s.wanted, line) }); err != nil {
		return nil, fmt.Errorf("read the modules of kernel %s: %w (install the kernel's package)", version, err)
	}
	// Some distributions do not list soft dependencies.
	for name, add := range map[string]func(string){"modules.softdep": s.addSoft, "modules.alias": s.addAlias} {
		if err := s.read(tree, name, add); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the modules of kernel %s: %w", version, err)
		}
	}
	return s, nil
}

func (s *moduleSet) read(tree images.Tree, name string, line func(string)) error {
	data, err := images.ReadFile(tree, path.Join(s.dir, name), maxIndex)
	if err != nil {
		return err
	}
	scan := bufio.NewScanner(bytes.NewReader(data))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		if text := strings.TrimSpace(scan.Text()); text != "" && !strings.HasPrefix(text, "#") {
			line(text)
		}
	}
	return scan.Err()
}

// addDep adds a line "kernel/a.ko: kernel/b.ko kernel/c.ko".
func (s *moduleSet) addDep(line string) {
	module, deps, ok := strings.Cut(line, ":")
	if !ok {
		return
	}
	s.deps[module] = strings.Fields(deps)
	s.byName[boot.ModuleName(module)] = module
}

// addSoft adds a line "softdep btrfs pre: crc32c xxhash64 post: x".
func (s *moduleSet) addSoft(line string) {
	words := strings.Fields(line)
	if len(words) < 3 || words[0] != "softdep" {
		return
	}
	name := boot.ModuleName(words[1])
	for _, word := range words[2:] {
		if !strings.HasSuffix(word, ":") {
			s.soft[name] = append(s.soft[name], boot.ModuleName(word))
		}
	}
}

// addAlias adds a line "alias crypto-crc32c crc32c_generic". It ignores aliases with
// wildcards, which are for devices and not for soft dependencies.
func (s *moduleSet) addAlias(line string) {
	words := strings.Fields(line)
	if len(words) == 3 && words[0] == "alias" && !strings.ContainsAny(words[1], "*?[") {
		name := boot.ModuleName(words[1])
		s.alias[name] = append(s.alias[name], boot.ModuleName(words[2]))
	}
}

// named returns the modules with a name or an alias.
func (s *moduleSet) named(name string) (modules []string) {
	for _, name := range append([]string{name}, s.alias[name]...) {
		if module, ok := s.byName[name]; ok {
			modules = append(modules, module)
		}
	}
	return modules
}

// choose returns the sorted modules that may be needed and all their dependencies. It
// also counts the drivers of each class.
func (s *moduleSet) choose() ([]string, map[class]int) {
	chosen, count := map[string]bool{}, map[class]int{}
	for module := range s.deps {
		if c := classIn(s.wanted, module); c != "" {
			count[c]++
			s.take(module, chosen)
		}
	}
	for _, c := range s.builtin {
		if c != "" {
			count[c]++
		}
	}
	list := make([]string, 0, len(chosen))
	for module := range chosen {
		list = append(list, module)
	}
	slices.Sort(list)
	return list, count
}

func (s *moduleSet) take(module string, chosen map[string]bool) {
	if chosen[module] {
		return
	}
	chosen[module] = true
	for _, dep := range s.deps[module] {
		s.take(dep, chosen)
	}
	for _, name := range s.soft[boot.ModuleName(module)] {
		for _, dep := range s.named(name) {
			s.take(dep, chosen)
		}
	}
}

// stripCompression turns "a.ko.xz" into "a.ko".
func stripCompression(module string) string {
	if i := strings.LastIndex(module, ".ko"); i >= 0 {
		return module[:i+len(".ko")]
	}
	return module
}

// aliasesOf returns the lines of modules.alias for the chosen modules. Fewer lines make
// the agent faster, because it compares every device with every line.
func aliasesOf(index []byte, chosen []string) []byte {
	names := map[string]bool{}
	for _, module := range chosen {
		names[boot.ModuleName(module)] = true
	}
	var kept []byte
	for line := range bytes.Lines(index) {
		words := bytes.Fields(line)
		if len(words) == 3 && names[boot.ModuleName(string(words[2]))] {
			kept = append(kept, line...)
		}
	}
	return kept
}
