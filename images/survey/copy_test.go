package survey

import (
	"slices"
	"strings"
	"testing"
)

// TestCopies checks that what makes a copy a copy is found: identifiers, secrets,
// disks, name servers and network cards of one machine.
func TestCopies(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef\n"
	const systemd = "-> ../lib/systemd/systemd"
	for name, c := range map[string]struct {
		tree     made
		volatile []string // paths that do not travel
		keeps    []string // paths that do, or are persistent
		what     string   // a reason
		why      string   // is in it; "" is for no such reason
	}{
		"the id of a systemd": {made{"etc/machine-id": id, "sbin/init": systemd, "lib/systemd/systemd": program(elfAMD64)},
			[]string{"/etc/machine-id"}, []string{"/etc/machine-id"}, `volatile /etc/machine-id$`, "have an empty file"},
		"the id of another init": {made{"etc/machine-id": id, "sbin/init": "-> /bin/busybox", "bin/busybox": program(elfAMD64)},
			[]string{"/etc/machine-id"}, nil, `volatile /etc/machine-id$`, "make their own"},
		"LABEL in fstab":      {made{"etc/fstab": "LABEL=rootfs / ext4 defaults 0 1\n"}, nil, nil, "/etc/fstab", "for /:"},
		"PARTLABEL in fstab":  {made{"etc/fstab": "PARTLABEL=data\t/data ext4 defaults 0 1\n"}, nil, nil, "/etc/fstab", "for /data:"},
		"what need not be":    {made{"etc/fstab": "LABEL=backup /mnt ext4 nofail 0 1\nLABEL=cloudlet / ext4 defaults\n"}, nil, nil, "/etc/fstab", ""},
		"seeds":               {made{"var/lib/seedrng/seed.credit": "x", "var/lib/misc/random-seed": "x", "var/lib/random-seed": "x"}, []string{"/var/lib/seedrng/seed.credit", "/var/lib/misc/random-seed", "/var/lib/random-seed"}, nil, "", ""},
		"dropbear's keys":     {made{"etc/dropbear/dropbear_rsa_host_key": "x", "etc/dropbear/authorized_keys": "x"}, []string{"/etc/dropbear/dropbear_rsa_host_key"}, nil, "", ""},
		"names of cards":      {made{"etc/udev/rules.d/70-persistent-net.rules": "ATTR{address}==\"52:54:00:00:00:01\""}, []string{"/etc/udev/rules.d/70-persistent-net.rules"}, nil, "", ""},
		"name servers":        {made{"etc/resolv.conf": "# made by x\nnameserver 10.0.0.1\n"}, nil, nil, "/etc/resolv.conf", "one network"},
		"a link to servers":   {made{"etc/resolv.conf": "-> ../run/resolv.conf", "run/resolv.conf": "nameserver 10.0.0.1\n"}, nil, nil, "/etc/resolv.conf", ""},
		"a card by its MAC":   {made{"etc/systemd/network/10.network": "[Match]\nMACAddress=52:54:00:aa:BB:01\n"}, nil, nil, "/etc/systemd/network/10.network", "one machine"},
		"a card by its slot":  {made{"etc/NetworkManager/system-connections/a.nmconnection": "interface-name=enp3s0\n"}, nil, nil, "/etc/NetworkManager/system-connections/a.nmconnection", "one machine"},
		"all cards":           {made{"etc/systemd/network/10.network": "[Match]\nName=en*\n"}, nil, nil, "/etc/systemd/network/10.network", ""},
		"a kernel by itself":  {made{"boot/vmlinuz-6.1": linux(), "lib/modules/6.1/modules.builtin": "kernel/fs/ext4/ext4.ko\n"}, nil, nil, "/boot/vmlinuz-6.1", "has no initrd"},
		"a list by its link":  {made{"var/lib/rpm": "-> ../../usr/lib/sysimage/rpm", "usr/lib/sysimage/rpm/": ""}, nil, nil, "/var/lib", "rpm"},
		"a loader's options":  {made{"boot/vmlinuz-6.1": linux(), "boot/loader/entries/a.conf": "version 6.1\noptions root=UUID=1 ro quiet\n"}, nil, nil, "entrypoints kernel", `"quiet"`},
		"host keys are a set": {made{"etc/ssh/ssh_host_rsa_key": "x"}, []string{"/etc/ssh/ssh_host_rsa_key"}, nil, "persistent /etc/ssh/ssh_host_rsa_key", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f, m := survey(t, c.tree.tree(t))
			for _, p := range c.volatile {
				if !m.IsVolatile(p) {
					t.Errorf("%s travels to other machines", p)
				}
			}
			for _, p := range f.Persistent {
				if m.IsVolatile(p) && !slices.Contains(c.keeps, p) {
					t.Errorf("%s is persistent, and no copy has it: a directory would be made", p)
				}
			}
			for _, p := range c.keeps {
				if !m.IsPersistent(p) {
					t.Errorf("%s is not persistent", p)
				}
			}
			if why := f.why(c.what); c.what != "" && (!strings.Contains(why, c.why) || c.why == "" && why != "") {
				t.Errorf("why %s: %q, want %q", c.what, why, c.why)
			}
		})
	}
}
