package boot

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"cloudlets/images/imagetest"
)

// banner is a kernel for arm64 with its version where such kernels have it.
func banner(release string) string {
	return arm64Image() + strings.Repeat("\x00", 300<<10) + "Linux version x Linux version " + release + " (builder@host) #1 SMP\n"
}

// zboot packs a kernel as CONFIG_EFI_ZBOOT does.
func zboot(t *testing.T, form, kernel string) string {
	t.Helper()
	payload := gzipped(kernel)
	if form == "zstd" {
		enc, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		payload = string(enc.EncodeAll([]byte(kernel), nil))
	}
	head := []byte(efiProgram(0xaa64))
	copy(head[4:], "zimg")
	binary.LittleEndian.PutUint32(head[8:], uint32(len(head)))
	binary.LittleEndian.PutUint32(head[12:], uint32(len(payload)))
	copy(head[24:], form+"\x00")
	return string(head) + payload + "trailer"
}

// TestLayouts finds kernels where distributions put them, with no manifest.
func TestLayouts(t *testing.T) {
	kernel := func(release string) string { return bzImageOf(release + " (builder@host) #1") }
	for name, tt := range map[string]struct {
		tree imagetest.Tree
		want []string // version path initrd modules
	}{
		"Arch": {imagetest.NewTree("/boot/vmlinuz-linux = "+kernel("6.9.1-arch1-1"), "/boot/initramfs-linux.img = x", "/boot/initramfs-linux-fallback.img = x",
			"/usr/lib/modules/6.9.1-arch1-1/vmlinuz = "+kernel("6.9.1-arch1-1"), "/usr/lib/modules/6.9.1-arch1-1/pkgbase = linux\n", "/lib -> usr/lib"),
			[]string{"6.9.1-arch1-1 /boot/vmlinuz-linux /boot/initramfs-linux.img /lib/modules/6.9.1-arch1-1"}},
		"bootc": {imagetest.NewTree("/usr/lib/modules/6.8.5-301.fc40/vmlinuz = "+kernel("6.8.5-301.fc40"), "/usr/lib/modules/6.8.5-301.fc40/initramfs.img = x", "/lib -> usr/lib", "/boot/"),
			[]string{"6.8.5-301.fc40 /usr/lib/modules/6.8.5-301.fc40/vmlinuz /usr/lib/modules/6.8.5-301.fc40/initramfs.img /lib/modules/6.8.5-301.fc40"}},
		"bootc with a copy that has no initrd": {imagetest.NewTree("/usr/lib/modules/6.8.5/vmlinuz = "+kernel("6.8.5"), "/usr/lib/modules/6.8.5/initramfs.img = x", "/boot/vmlinuz-6.8.5 = "+kernel("6.8.5")),
			[]string{"6.8.5 /usr/lib/modules/6.8.5/vmlinuz /usr/lib/modules/6.8.5/initramfs.img /usr/lib/modules/6.8.5"}},
		"two of bootc's": {imagetest.NewTree("/usr/lib/modules/6.8.5/vmlinuz = "+kernel("6.8.5"), "/usr/lib/modules/6.8.5/initramfs.img = x",
			"/usr/lib/modules/6.9.1/vmlinuz = "+kernel("6.9.1"), "/usr/lib/modules/6.9.1/initramfs.img = x"),
			[]string{"6.9.1 /usr/lib/modules/6.9.1/vmlinuz /usr/lib/modules/6.9.1/initramfs.img /usr/lib/modules/6.9.1",
				"6.8.5 /usr/lib/modules/6.8.5/vmlinuz /usr/lib/modules/6.8.5/initramfs.img /usr/lib/modules/6.8.5"}},
		"a deployed ostree": {imagetest.NewTree("/boot/ostree/fedora-ab12/vmlinuz-6.8.5 = "+kernel("6.8.5"), "/boot/ostree/fedora-ab12/initramfs-6.8.5.img = x"),
			[]string{"6.8.5 /boot/ostree/fedora-ab12/vmlinuz-6.8.5 /boot/ostree/fedora-ab12/initramfs-6.8.5.img "}},
		"openSUSE": {imagetest.NewTree("/boot/vmlinuz-6.4.0-21-default -> ../usr/lib/modules/6.4.0-21-default/vmlinuz", "/usr/lib/modules/6.4.0-21-default/vmlinuz = "+kernel("6.4.0-21-default"),
			"/boot/initrd-6.4.0-21-default = x", "/boot/initrd -> initrd-6.4.0-21-default", "/boot/vmlinuz -> vmlinuz-6.4.0-21-default", "/lib -> usr/lib",
			"/boot/vmlinux-6.4.0-21-default.gz = "+gzipped(elfFile(62)+strings.Repeat("x", 9000))),
			[]string{"6.4.0-21-default /usr/lib/modules/6.4.0-21-default/vmlinuz /boot/initrd-6.4.0-21-default /lib/modules/6.4.0-21-default"}},
		"Gentoo": {imagetest.NewTree("/boot/kernel-6.6.21-gentoo-dist = "+kernel("6.6.21-gentoo-dist"), "/boot/initramfs-6.6.21-gentoo-dist.img = x", "/boot/kernel-notes = text", "/lib/modules/6.6.21-gentoo-dist/"),
			[]string{"6.6.21-gentoo-dist /boot/kernel-6.6.21-gentoo-dist /boot/initramfs-6.6.21-gentoo-dist.img /lib/modules/6.6.21-gentoo-dist"}},
		"kernel-install": {imagetest.NewTree("/boot/0123/6.9.1-2/linux = "+kernel("6.9.1-2"), "/boot/0123/6.9.1-2/initrd = x", "/boot/0123/6.8.0-1/linux = "+kernel("6.8.0-1"), "/boot/0123/6.8.0-1/initrd = x",
			"/usr/lib/modules/6.9.1-2/vmlinuz = "+kernel("6.9.1-2")),
			[]string{"6.9.1-2 /boot/0123/6.9.1-2/linux /boot/0123/6.9.1-2/initrd /usr/lib/modules/6.9.1-2", "6.8.0-1 /boot/0123/6.8.0-1/linux /boot/0123/6.8.0-1/initrd "}},
		"NixOS": {imagetest.NewTree("/nix/var/nix/profiles/system -> system-1-link", "/nix/var/nix/profiles/system-1-link -> /nix/store/a-nixos", "/nix/store/a-nixos/kernel -> /nix/store/b-linux-6.6.32/bzImage",
			"/nix/store/b-linux-6.6.32/bzImage = "+kernel("6.6.32"), "/nix/store/a-nixos/initrd -> /nix/store/c-initrd-linux-6.6.32/initrd", "/nix/store/c-initrd-linux-6.6.32/initrd = x",
			"/nix/store/a-nixos/kernel-modules -> /nix/store/d-modules", "/nix/store/d-modules/lib/modules/6.6.32/modules.dep = "),
			[]string{"6.6.32 /nix/store/b-linux-6.6.32/bzImage /nix/store/c-initrd-linux-6.6.32/initrd /nix/var/nix/profiles/system/kernel-modules/lib/modules/6.6.32"}},
		"a newer kernel without an initrd": {imagetest.NewTree("/boot/vmlinuz-6.2 = "+kernel("6.2"), "/boot/vmlinuz-6.1 = "+kernel("6.1"), "/boot/initrd.img-6.1 = x"),
			[]string{"6.1 /boot/vmlinuz-6.1 /boot/initrd.img-6.1 ", "6.2 /boot/vmlinuz-6.2  "}},
		"arm64": {imagetest.NewTree("/boot/vmlinuz-lts = "+gzipped(banner("6.6.31-0-lts")), "/boot/initramfs-lts = x", "/lib/modules/6.6.31-0-lts/", "/lib/modules/6.6.30-0-lts/"),
			[]string{"6.6.31-0-lts /boot/vmlinuz-lts /boot/initramfs-lts /lib/modules/6.6.31-0-lts"}},
		"arm64 with EFI_ZBOOT": {imagetest.NewTree("/boot/vmlinuz-lts = "+zboot(t, "zstd", banner("6.12.1-0-lts")), "/boot/vmlinuz-virt = "+zboot(t, "gzip", banner("6.12.0-0-virt"))),
			[]string{"6.12.1-0-lts /boot/vmlinuz-lts  ", "6.12.0-0-virt /boot/vmlinuz-virt  "}},
		"a compression that is not known": {imagetest.NewTree("/boot/vmlinuz-6.1 = " + zboot(t, "lzo", "x")), []string{"6.1 /boot/vmlinuz-6.1  "}},
	} {
		t.Run(name, func(t *testing.T) {
			kernels, err := Kernels(imagetest.Manifest(t, `{}`), tt.tree, "")
			var got []string
			for _, k := range kernels {
				got = append(got, k.Version+" "+k.Path+" "+k.Initrd+" "+k.Modules)
			}
			if !slices.Equal(got, tt.want) || err != nil {
				t.Errorf("kernels\n%q, %v; want\n%q", got, err, tt.want)
			}
		})
	}
}

// TestLoaderEntries takes command lines from boot loader entries, without what
// belongs to one machine.
func TestLoaderEntries(t *testing.T) {
	kernel := bzImageOf("6.8.5 #1")
	tree := imagetest.NewTree("/boot/vmlinuz-6.8.5 = "+kernel, "/boot/vmlinuz-0-rescue-ab = "+kernel, "/boot/vmlinuz-6.8.4 = "+bzImageOf("6.8.4 #1"),
		"/boot/loader/entries/1.conf = title Fedora\nversion 0-rescue-ab\nlinux /vmlinuz-0-rescue-ab\noptions root=UUID=1 rescue\n",
		"/boot/loader/entries/2.conf = title Fedora\nversion 6.8.5\nlinux /vmlinuz-6.8.5\ninitrd /initramfs-6.8.5.img $tuned_initrd\noptions root=UUID=1 ro rd.lvm.lv=a/b resume=/dev/a\noptions rhgb quiet $tuned_params\n",
		"/etc/kernel/cmdline = root=LABEL=x\nmitigations=off\n")
	kernels, err := Kernels(imagetest.Manifest(t, `{}`), tree, "")
	var got []string
	for _, k := range kernels {
		got = append(got, k.Named()+": "+k.Cmdline)
	}
	if want := []string{"6.8.5: rhgb quiet", "6.8.4: mitigations=off", "0-rescue-ab: rescue"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestWithoutDisk(t *testing.T) {
	for line, want := range map[string]string{
		"console=tty0 quiet":                              "console=tty0 quiet",
		"root=/dev/sda1 console=tty0 rootflags=subvol=@":  "console=tty0",
		"quiet resume=UUID=1 root=\"LABEL=a b\" -- root=": "quiet -- root=",
		"rootwait rootwaiting isoroot=x":                  "rootwaiting isoroot=x",
	} {
		got, taken := WithoutDisk(line)
		if got != want || (len(taken) == 0) != (got == line) {
			t.Errorf("%q: %q without %q, want %q", line, got, taken, want)
		}
	}
}

// TestCheckInitrd warns of a kernel that finds no disk.
func TestCheckInitrd(t *testing.T) {
	tree := imagetest.NewTree("/lib/modules/1/modules.builtin = kernel/fs/ext4/ext4.ko\n", "/lib/modules/2/modules.builtin = kernel/drivers/block/virtio_blk.ko\n")
	for version, want := range map[string]string{"1": "will not find its root", "2": "", "3": ""} {
		k := Kernel{Path: "/boot/vmlinuz-" + version, Version: version}
		got, err := CheckInitrd(tree, k)
		if err != nil || (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("Linux %s: %q, %v; want %q", version, got, err, want)
		}
		k.Initrd = "/boot/initrd"
		if got, err := CheckInitrd(tree, k); err != nil || got != "" {
			t.Errorf("Linux %s with an initrd: %q, %v", version, got, err)
		}
	}
}

func FuzzBanner(f *testing.F) {
	f.Add(banner("6.1.0-31-arm64"))
	f.Add("Linux version ")
	f.Fuzz(func(t *testing.T, kernel string) {
		tree := imagetest.NewTree("/k = " + kernel)
		if release, err := bannerRelease(tree, "/k"); err != nil || strings.ContainsAny(release, "/ \x00") {
			t.Errorf("the release %q, %v", release, err)
		}
	})
}

func FuzzLoaderEntry(f *testing.F) {
	f.Add("title x\nlinux /vmlinuz\noptions root=UUID=1 quiet <% -- a\n")
	f.Fuzz(func(t *testing.T, text string) {
		line := OwnOptions(parseLoaderEntry(text).options)
		if again := OwnOptions(strings.ReplaceAll(line, "<%%", "<%")); again != line {
			t.Errorf("%q: once %q, twice %q", text, line, again)
		}
	})
}
