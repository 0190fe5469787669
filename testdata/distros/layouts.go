package distros

import "slices"

// startBusybox is the script that stands for an init.
const startBusybox = "exec /usr/libexec/small/busybox init\n"

// merged are the directories of a system with all programs in /usr.
var merged = []string{"/usr/bin/sh @ busybox", "/bin -> usr/bin", "/sbin -> usr/sbin", "/lib -> usr/lib", "/usr/sbin/poweroff -> ../libexec/small/busybox",
	"/usr/bin/mount -> ../libexec/small/busybox", "/usr/bin/cat -> ../libexec/small/busybox"}

// systemd is the init of most, and what a machine that ran it leaves.
var systemd = []string{
	"/usr/lib/systemd/systemd ! " + startBusybox, "/etc/machine-id = 0123456789abcdef0123456789abcdef\n",
	"/var/lib/systemd/random-seed = x", "/var/log/journal/0123456789abcdef0123456789abcdef/system.journal = x", "/etc/hostname = old\n",
}

// All lists the layouts.
func All() []Layout {
	return []Layout{
		debian(), ubuntu(), fedora(), arch(), suse(), alpine(), void(), gentoo(), nixos(), bootc(), busybox(),
	}
}

// Named is the layout of a name; its lines are missing if there is none.
func Named(name string) Layout {
	all := All()
	return all[slices.IndexFunc(all, func(l Layout) bool { return l.Name == name })]
}

func layout(name, release string, parts ...[]string) Layout {
	return Layout{name, slices.Concat(append(parts, []string{"/etc/os-release = " + release})...)}
}

// debian has an initrd by initramfs-tools, and links to both in /.
func debian() Layout {
	return layout("debian", "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n", merged, systemd, []string{
		"/usr/sbin/init -> ../lib/systemd/systemd", "/boot/vmlinuz-{K} @ kernel", "/boot/initrd.img-{K} @ initrd", "/boot/config-{K} = x", "/boot/System.map-{K} = x",
		"/vmlinuz -> boot/vmlinuz-{K}", "/initrd.img -> boot/initrd.img-{K}", "/vmlinuz.old -> boot/vmlinuz-gone", "/usr/lib/modules/{K} @ modules",
		"/var/lib/dpkg/status = x", "/var/lib/dbus/machine-id -> /etc/machine-id", "/etc/ssh/ssh_host_rsa_key = x", "/etc/network/interfaces = auto lo\n",
		"/etc/fstab = UUID=0a / ext4 errors=remount-ro 0 1\n", "/etc/udev/rules.d/70-persistent-net.rules = x",
		"/usr/sbin/sshd ! exit 0\n", "/etc/hosts = 127.0.0.1\tlocalhost\n127.0.1.1\told.example.org old\n\n# for IPv6\n::1\tlocalhost ip6-localhost\n",
	})
}

// ubuntu has its links in /boot, netplan, and the user of its images for clouds.
func ubuntu() Layout {
	return layout("ubuntu", "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=24.04\nPRETTY_NAME=\"Ubuntu 24.04 LTS\"\n", merged, systemd, []string{
		"/usr/sbin/init -> ../lib/systemd/systemd", "/boot/vmlinuz-{K} @ kernel", "/boot/initrd.img-{K} @ initrd", "/boot/vmlinuz -> vmlinuz-{K}", "/boot/initrd.img -> initrd.img-{K}",
		"/boot/initrd.img.old -> initrd.img-gone", "/usr/lib/modules/{K} @ modules", "/var/lib/dpkg/status = x", "/var/lib/cloud/instance -> instances/i", "/etc/resolv.conf -> ../run/systemd/resolve/stub-resolv.conf",
		"/etc/fstab = LABEL=cloudimg-rootfs / ext4 discard 0 1\nLABEL=UEFI /boot/efi vfat umask=0077 0 1\n", "/etc/netplan/50-cloud-init.yaml = macaddress: 52:54:00:12:34:56\n",
		"/usr/sbin/sshd ! exit 0\n", "/etc/passwd = root:x:0:0:root:/root:/bin/sh\nubuntu:x:1000:1000::/home/ubuntu:/bin/sh\n", "/home/ubuntu/.ssh/authorized_keys = ssh-ed25519 AAAA old",
	})
}

// fedora has boot loader entries, a rescue kernel, an initrd for kdump, and each
// kernel also beside its modules.
func fedora() Layout {
	return layout("fedora", "ID=fedora\nVERSION_ID=40\nPRETTY_NAME=\"Fedora Linux 40\"\n", merged, systemd, []string{
		"/usr/sbin/init -> ../lib/systemd/systemd", "/boot/vmlinuz-{K} @ kernel", "/boot/initramfs-{K}.img @ initrd", "/boot/initramfs-{K}kdump.img = x", "/boot/.vmlinuz-{K}.hmac = x",
		"/boot/vmlinuz-0-rescue-0123456789abcdef @ kernel", "/boot/initramfs-0-rescue-0123456789abcdef.img @ initrd", "/usr/lib/modules/{K} @ modules", "/usr/lib/modules/{K}/vmlinuz @ kernel",
		"/boot/loader/entries/0123456789abcdef-{K}.conf = title Fedora Linux\nversion {K}\nlinux /vmlinuz-{K}\ninitrd /initramfs-{K}.img $tuned_initrd\noptions root=UUID=0a ro rootflags=subvol=root rhgb quiet $tuned_params\n",
		"/boot/loader/entries/0123456789abcdef-0-rescue.conf = title Rescue\nversion 0-rescue-0123456789abcdef\nlinux /vmlinuz-0-rescue-0123456789abcdef\noptions root=UUID=0a ro\n",
		"/usr/lib/sysimage/rpm/rpmdb.sqlite = x", "/var/lib/rpm -> ../../usr/lib/sysimage/rpm", "/var/lib/selinux/", "/etc/selinux/config = SELINUX=enforcing\n",
		"/etc/fstab = UUID=0a / btrfs subvol=root 0 0\nUUID=0b /boot ext4 defaults 1 2\n",
		"/usr/sbin/sshd ! exit 0\n", "/etc/hosts = 127.0.0.1   localhost localhost.localdomain\n::1         localhost localhost.localdomain\n",
	})
}

// arch names kernels for their packages, with an initrd by mkinitcpio.
func arch() Layout {
	return layout("arch", "ID=arch\nPRETTY_NAME=\"Arch Linux\"\nBUILD_ID=rolling\n", []string{
		"/usr/bin/sh @ busybox", "/bin -> usr/bin", "/sbin -> usr/bin", "/lib -> usr/lib", "/usr/sbin -> bin", "/usr/bin/poweroff -> ../libexec/small/busybox",
		"/usr/bin/mount -> ../libexec/small/busybox", "/usr/bin/cat -> ../libexec/small/busybox",
	}, systemd, []string{
		"/usr/bin/init -> ../lib/systemd/systemd", "/boot/vmlinuz-linux @ kernel", "/boot/initramfs-linux.img @ initrd", "/boot/initramfs-linux-fallback.img @ initrd", "/boot/amd-ucode.img = x",
		"/usr/lib/modules/{K} @ modules", "/usr/lib/modules/{K}/vmlinuz @ kernel", "/usr/lib/modules/{K}/pkgbase = linux\n", "/var/lib/pacman/local/ALPM_DB_VERSION = 9\n",
		"/etc/fstab = PARTLABEL=root / ext4 rw 0 1\n",
	})
}

// suse has links in /boot to kernels beside their modules, and an ELF kernel for
// debuggers.
func suse() Layout {
	return layout("suse", "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\nVERSION_ID=15.6\nPRETTY_NAME=\"openSUSE Leap 15.6\"\n", merged, systemd, []string{
		"/usr/sbin/init -> ../lib/systemd/systemd", "/usr/lib/modules/{K} @ modules", "/usr/lib/modules/{K}/vmlinuz @ kernel", "/boot/vmlinuz-{K} -> ../usr/lib/modules/{K}/vmlinuz",
		"/boot/initrd-{K} @ initrd", "/boot/vmlinuz -> vmlinuz-{K}", "/boot/initrd -> initrd-{K}", "/boot/vmlinux-{K} @ busybox", "/boot/symvers-{K}.gz = x",
		"/usr/lib/sysimage/rpm/Packages.db = x", "/var/lib/rpm -> ../../usr/lib/sysimage/rpm", "/var/cache/zypp/solv = x", "/etc/sysconfig/network/ifcfg-eth0 = LLADDR=52:54:00:12:34:56\n",
	})
}

// alpine has busybox's init and OpenRC, an initrd by mkinitfs, and directories of
// its own beside /usr.
func alpine() Layout {
	return layout("alpine", "ID=alpine\nVERSION_ID=3.20.1\nPRETTY_NAME=\"Alpine Linux v3.20\"\n", []string{
		"/bin/busybox @ busybox", "/bin/sh -> /bin/busybox", "/bin/mount -> /bin/busybox", "/bin/cat -> /bin/busybox", "/sbin/init -> /bin/busybox", "/sbin/poweroff -> /bin/busybox",
		"/sbin/openrc ! exit 0\n", "/lib/modules/{K} @ modules", "/boot/vmlinuz-lts @ kernel", "/boot/initramfs-lts @ initrd", "/boot/config-lts = x", "/boot/System.map-lts = x", "/boot/boot -> .",
		"/lib/apk/db/installed = x", "/var/cache/apk/x.apk = x", "/var/lib/misc/random-seed = x", "/var/lib/seedrng/seed.credit = x", "/etc/conf.d/hostname = hostname=old\n", "/etc/machine-id = 0123456789abcdef0123456789abcdef\n",
		"/etc/hostname = old\n", "/etc/resolv.conf = nameserver 10.0.2.3\n", "/etc/fstab = UUID=0a / ext4 rw,relatime 0 1\n/dev/cdrom /media/cdrom iso9660 noauto,ro 0 0\n",
		"/usr/sbin/dropbear ! exit 0\n", "/etc/hosts = 127.0.0.1\told.my.domain old localhost.localdomain localhost\n",
	})
}

// void has runit, and an initrd by dracut.
func void() Layout {
	return layout("void", "ID=void\nPRETTY_NAME=\"Void Linux\"\n", []string{
		"/usr/bin/sh @ busybox", "/bin -> usr/bin", "/sbin -> usr/bin", "/lib -> usr/lib", "/usr/sbin -> bin", "/usr/bin/poweroff -> ../libexec/small/busybox",
		"/usr/bin/mount -> ../libexec/small/busybox", "/usr/bin/cat -> ../libexec/small/busybox",
		"/usr/bin/init -> runit-init", "/usr/bin/runit-init ! " + startBusybox, "/etc/runit/1 = x", "/boot/vmlinuz-{K} @ kernel", "/boot/initramfs-{K}.img @ initrd", "/usr/lib/modules/{K} @ modules",
		"/var/db/xbps/pkgdb-0.38.plist = x", "/var/cache/xbps/x.xbps = x", "/var/lib/random-seed = x", "/etc/fstab = tmpfs /tmp tmpfs defaults 0 0\n",
	})
}

// gentoo has sysvinit with OpenRC, and names kernels as its own installer does.
func gentoo() Layout {
	return layout("gentoo", "ID=gentoo\nPRETTY_NAME=\"Gentoo Linux\"\n", merged, []string{
		"/usr/sbin/init ! " + startBusybox, "/usr/sbin/openrc ! exit 0\n", "/boot/kernel-{K} @ kernel", "/boot/initramfs-{K}.img @ initrd", "/boot/System.map-{K} = x", "/usr/lib/modules/{K} @ modules",
		"/var/db/pkg/sys-apps/", "/var/lib/portage/world = x", "/var/cache/distfiles/x.tar = x", "/etc/conf.d/hostname = hostname=old\n", "/etc/udev/rules.d/70-persistent-net.rules = x",
		"/etc/fstab = /dev/sda3 / ext4 noatime 0 1\n",
	})
}

// nixos has everything in its store, and links to the system that it starts.
func nixos() Layout {
	return layout("nixos", "ID=nixos\nVERSION_ID=24.05\nPRETTY_NAME=\"NixOS 24.05\"\n", []string{
		"/nix/var/nix/profiles/system -> system-1-link", "/nix/var/nix/profiles/system-1-link -> /nix/store/a-nixos-system", "/nix/store/a-nixos-system/init ! " + startBusybox,
		"/nix/store/a-nixos-system/kernel -> /nix/store/b-linux/bzImage", "/nix/store/b-linux/bzImage @ kernel", "/nix/store/a-nixos-system/initrd -> /nix/store/c-initrd-linux/initrd",
		"/nix/store/c-initrd-linux/initrd @ initrd", "/nix/store/a-nixos-system/kernel-modules -> /nix/store/d-kernel-modules", "/nix/store/d-kernel-modules/lib/modules/{K} @ modules",
		"/nix/store/a-nixos-system/sw/bin/bash @ busybox", "/bin/sh -> /nix/store/a-nixos-system/sw/bin/sh", "/nix/store/a-nixos-system/sw/bin/sh @ busybox", "/etc/machine-id = 0123456789abcdef0123456789abcdef\n",
		"/sbin/poweroff -> ../usr/libexec/small/busybox", "/bin/mount -> ../usr/libexec/small/busybox", "/bin/cat -> ../usr/libexec/small/busybox", "/var/lib/nixos/uid-map = {}",
	})
}

// bootc has kernel and initrd beside the modules, and an empty /boot.
func bootc() Layout {
	return layout("bootc", "ID=\"centos\"\nID_LIKE=\"rhel fedora\"\nVERSION_ID=9\nPRETTY_NAME=\"CentOS Stream 9\"\n", merged, systemd, []string{
		"/usr/sbin/init -> ../lib/systemd/systemd", "/usr/lib/modules/{K} @ modules", "/usr/lib/modules/{K}/vmlinuz @ kernel", "/usr/lib/modules/{K}/initramfs.img @ initrd", "/boot/",
		"/usr/lib/sysimage/rpm/rpmdb.sqlite = x", "/usr/lib/ostree/prepare-root.conf = x", "/sysroot/", "/ostree -> sysroot/ostree", "/home -> var/home", "/var/home/", "/root -> var/roothome", "/var/roothome/", "/usr/sbin/sshd ! exit 0\n",
	})
}

// busybox is a system made by hand, with no initrd and no distribution.
func busybox() Layout {
	return Layout{"busybox", []string{
		"/bin/busybox @ busybox", "/bin/sh -> busybox", "/bin/mount -> busybox", "/bin/cat -> busybox", "/sbin/init -> ../bin/busybox", "/sbin/poweroff -> ../bin/busybox",
		"/boot/bzImage @ kernel", "/lib/modules/{K} @ modules",
	}}
}
