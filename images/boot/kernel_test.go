package boot

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images/imagetest"
)

// The heads of kernels, just enough of them to tell what they are.
func bzImage(version, flags uint16) string {
	head := make([]byte, 0x400)
	copy(head[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(head[0x206:], version)
	binary.LittleEndian.PutUint16(head[0x236:], flags)
	return string(head)
}

// bzImageOf is a kernel for amd64 with its version inside.
func bzImageOf(text string) string {
	head := []byte(bzImage(0x20f, 1))
	binary.LittleEndian.PutUint16(head[0x20e:], 0x1000)
	return string(head) + strings.Repeat("\x90", 0x1200-len(head)) + text + "\x00more"
}

func arm64Image() string {
	head := make([]byte, 64)
	copy(head[0x38:], "ARM\x64")
	return string(head)
}

func efiProgram(machine uint16) string {
	head := make([]byte, 0x100)
	copy(head, "MZ")
	binary.LittleEndian.PutUint32(head[0x3c:], 0x80)
	copy(head[0x80:], "PE\x00\x00")
	binary.LittleEndian.PutUint16(head[0x84:], machine)
	return string(head)
}

func elfFile(machine byte) string {
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	head[18] = machine
	return string(head)
}

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(s))
	z.Close()
	return b.String()
}

func TestKernelArch(t *testing.T) {
	for _, tt := range []struct{ name, head, want string }{
		{"bzImage of 64 bits", bzImage(0x20f, 3), "amd64"},
		{"bzImage of 32 bits", bzImage(0x20f, 0), "i386"},
		{"old bzImage", bzImage(0x206, 1), "i386"},
		{"arm64 Image", arm64Image(), "arm64"},
		{"arm64 Image in gzip", gzipped(arm64Image() + strings.Repeat("x", 10000)), "arm64"},
		{"EFI arm64", efiProgram(0xaa64), "arm64"},
		{"EFI amd64", efiProgram(0x8664), "amd64"},
		{"ELF amd64", elfFile(62), "amd64"},
		{"ELF riscv64", elfFile(243), "riscv64"},
		{"text", "#!/bin/sh\n", ""},
		{"empty", "", ""},
		{"EFI header beyond the head", "MZ" + strings.Repeat("\xff", 100), ""},
	} {
		head, err := headOf(strings.NewReader(tt.head))
		if got := kernelArch(head); got != tt.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestKernelRelease(t *testing.T) {
	debian := "6.1.0-31-amd64 (debian-kernel@lists.debian.org) #1 SMP PREEMPT_DYNAMIC Debian 6.1.128-1 (2025-02-07)"
	beyond := []byte(bzImage(0x20f, 1))
	binary.LittleEndian.PutUint16(beyond[0x20e:], 0xffff)
	for _, tt := range []struct{ name, kernel, want string }{
		{"Debian", bzImageOf(debian), "6.1.0-31-amd64"},
		{"nothing but the version", bzImageOf("6.6.9-0-lts"), "6.6.9-0-lts"},
		{"compressed", gzipped(bzImageOf(debian)), "6.1.0-31-amd64"},
		{"no version", bzImage(0x20f, 1), ""},
		{"a place beyond the file", string(beyond), ""},
		{"no end", strings.TrimSuffix(bzImageOf("6.1"), "\x00more"), ""},
		{"no number", bzImageOf("linux"), ""},
		{"a path", bzImageOf("6/../../etc"), ""},
		{"too long", bzImageOf(strings.Repeat("6", maxRelease+1)), ""},
		{"another architecture", arm64Image(), ""},
		{"empty", "", ""},
	} {
		head, err := headOf(strings.NewReader(tt.kernel))
		if got := kernelRelease(head); got != tt.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

func FuzzKernelHead(f *testing.F) {
	f.Add(bzImageOf("6.1.0-31-amd64 #1"))
	f.Add(gzipped(arm64Image()))
	f.Fuzz(func(t *testing.T, kernel string) {
		head, err := headOf(strings.NewReader(kernel))
		if err != nil {
			return
		}
		kernelArch(head)
		if release := kernelRelease(head); strings.ContainsAny(release, "/ \x00") {
			t.Errorf("the release %q is no name of a directory", release)
		}
	})
}

// TestKernelsByTheirOwnVersion: a kernel has the version that is inside it,
// and else the one that its name and the modules tell.
func TestKernelsByTheirOwnVersion(t *testing.T) {
	plain := bzImage(0x20f, 1)
	for name, tt := range map[string]struct {
		tree imagetest.Tree
		want []string // version path initrd modules
	}{
		"Alpine": {imagetest.NewTree("/boot/vmlinuz-lts = "+bzImageOf("6.6.9-0-lts (buildozer@build) #1-Alpine SMP"), "/boot/initramfs-lts = x",
			"/lib/modules/6.6.9-0-lts/modules.dep = x", "/lib/modules/6.6.8-0-lts/modules.dep = x"),
			[]string{"6.6.9-0-lts /boot/vmlinuz-lts /boot/initramfs-lts /lib/modules/6.6.9-0-lts"}},
		"two of Alpine's": {imagetest.NewTree("/boot/vmlinuz-lts = "+bzImageOf("6.6.9-0-lts"), "/boot/vmlinuz-virt = "+bzImageOf("6.12.1-0-virt"),
			"/boot/initramfs-lts = x", "/boot/initramfs-virt = x", "/lib/modules/6.6.9-0-lts/", "/lib/modules/6.12.1-0-virt/"),
			[]string{"6.12.1-0-virt /boot/vmlinuz-virt /boot/initramfs-virt /lib/modules/6.12.1-0-virt", "6.6.9-0-lts /boot/vmlinuz-lts /boot/initramfs-lts /lib/modules/6.6.9-0-lts"}},
		"Alpine without a version inside": {imagetest.NewTree("/boot/vmlinuz-lts = "+arm64Image(), "/boot/vmlinuz-virt = "+arm64Image(), "/boot/initramfs-lts = x",
			"/lib/modules/6.6.9-0-lts/", "/lib/modules/6.6.9-0-virt/"),
			[]string{"6.6.9-0-lts /boot/vmlinuz-lts /boot/initramfs-lts /lib/modules/6.6.9-0-lts", "6.6.9-0-virt /boot/vmlinuz-virt  /lib/modules/6.6.9-0-virt"}},
		"a package of Arch's": {imagetest.NewTree("/boot/vmlinuz-linux = "+plain, "/boot/initramfs-linux.img = x", "/lib/modules/6.7.1-arch1-1/pkgbase = linux\n", "/lib/modules/6.7.1-hardened/"),
			[]string{"6.7.1-arch1-1 /boot/vmlinuz-linux /boot/initramfs-linux.img /lib/modules/6.7.1-arch1-1"}},
		"a name without a version":                  {imagetest.NewTree("/vmlinuz = "+plain, "/lib/modules/6.1/"), []string{"6.1 /vmlinuz  /lib/modules/6.1"}},
		"a name with a version that has no modules": {imagetest.NewTree("/boot/vmlinuz-6.2 = "+plain, "/lib/modules/6.1/"), []string{"6.2 /boot/vmlinuz-6.2  "}},
		"nothing tells it":                          {imagetest.NewTree("/vmlinuz = "+plain, "/lib/modules/6.1/", "/lib/modules/6.2/"), []string{" /vmlinuz  "}},
		"a link by version": {imagetest.NewTree("/vmlinuz = "+bzImageOf("6.1.0-9"), "/initrd.img -> boot/initrd.img-6.1.0-9", "/boot/initrd.img-6.1.0-9 = x", "/boot/initrd.img-6.1.0-8 = x"),
			[]string{"6.1.0-9 /vmlinuz /boot/initrd.img-6.1.0-9 "}},
		"Fedora": {imagetest.NewTree("/boot/vmlinuz-0-rescue-abc = "+bzImageOf("6.5.6-300"), "/boot/vmlinuz-6.5.6-300 = "+bzImageOf("6.5.6-300"), "/boot/vmlinuz-6.5.5-200 = "+bzImageOf("6.5.5-200"),
			"/lib/modules/6.5.6-300/vmlinuz = "+bzImageOf("6.5.6-300"), "/boot/initramfs-0-rescue-abc.img = x", "/boot/initramfs-6.5.6-300.img = x"),
			[]string{"6.5.6-300 /boot/vmlinuz-6.5.6-300 /boot/initramfs-6.5.6-300.img /lib/modules/6.5.6-300", "6.5.5-200 /boot/vmlinuz-6.5.5-200  ",
				"6.5.6-300 /boot/vmlinuz-0-rescue-abc /boot/initramfs-0-rescue-abc.img /lib/modules/6.5.6-300"}},
	} {
		t.Run(name, func(t *testing.T) {
			kernels, err := Kernels(imagetest.Manifest(t, `{}`), tt.tree, "")
			var got []string
			for _, k := range kernels {
				got = append(got, k.Version+" "+k.Path+" "+k.Initrd+" "+k.Modules)
				if err := k.CheckVersion(); (err == nil) != (k.Version != "") {
					t.Errorf("check the version %q: %v", k.Version, err)
				}
			}
			if !slices.Equal(got, tt.want) || err != nil {
				t.Errorf("kernels %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestCompareVersions(t *testing.T) {
	order := []string{
		"", "0-rescue", "4.19.0", "5.10.0-9-amd64", "5.10.0-31-amd64", "6.1~rc1", "6.1-rc8", "6.1", "6.1-1", "6.1.0-9", "6.1.0-31", "6.1.0-31-amd64",
		"6.1.10", "6.12.1", "99999999999999999999", "100000000000000000000", "\xff",
	}
	for i := range order {
		for j := range order {
			got := compareVersions(order[i], order[j])
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				if order[i] != "\xff" && order[j] != "\xff" {
					t.Errorf("compare %q with %q = %d", order[i], order[j], got)
				}
			}
		}
	}
	if compareVersions("06.01", "6.1") != 0 {
		t.Error("leading zeros count")
	}
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("6.1.0-9", "6.1.0-31")
	f.Add("a\x00", "a\xff9")
	f.Fuzz(func(t *testing.T, a, b string) {
		if x, y := compareVersions(a, b), compareVersions(b, a); (x < 0) != (y > 0) || (x == 0) != (y == 0) {
			t.Fatalf("compare %q with %q = %d, the other way round %d", a, b, x, y)
		}
	})
}

func TestKernelsOfDebian(t *testing.T) {
	tree := imagetest.NewTree(
		"/boot/vmlinuz-6.1.0-9-amd64 = "+bzImage(0x20f, 3), "/boot/initrd.img-6.1.0-9-amd64 = x",
		"/boot/vmlinuz-6.1.0-31-amd64 = "+bzImage(0x20f, 3), "/boot/initrd.img-6.1.0-31-amd64 = x",
		"/boot/vmlinuz-6.1.0-3-amd64 = "+bzImage(0x20f, 3), "/boot/vmlinuz-9.9.old = x", "/boot/initrd.img-6.1.0-31-amd64.bak = x",
		"/vmlinuz -> boot/vmlinuz-6.1.0-31-amd64", "/initrd.img -> boot/initrd.img-6.1.0-31-amd64", "/boot/vmlinuz -> gone",
	)
	m := imagetest.Manifest(t, `{"arch": "amd64"}`)
	got, err := Kernels(m, tree, "")
	want := []Kernel{
		{Version: "6.1.0-31-amd64", Path: "/boot/vmlinuz-6.1.0-31-amd64", Initrd: "/boot/initrd.img-6.1.0-31-amd64", Arch: "amd64", Requires: "amd64"},
		{Version: "6.1.0-9-amd64", Path: "/boot/vmlinuz-6.1.0-9-amd64", Initrd: "/boot/initrd.img-6.1.0-9-amd64", Arch: "amd64", Requires: "amd64"},
		{Version: "6.1.0-3-amd64", Path: "/boot/vmlinuz-6.1.0-3-amd64", Arch: "amd64", Requires: "amd64"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if k, err := NewestKernel(m, tree, ""); err != nil || k != want[0] {
		t.Errorf("newest kernel %+v, %v", k, err)
	}
}

func TestKernelsElsewhere(t *testing.T) {
	kernel := bzImage(0x20f, 3)
	for _, tt := range []struct {
		name  string
		tree  imagetest.Tree
		entry string
		want  []string // version path initrd
	}{
		{"fedora", imagetest.NewTree("/boot/vmlinuz-6.5.6-300.fc39.x86_64 = "+kernel, "/boot/initramfs-6.5.6-300.fc39.x86_64.img = x", "/boot/vmlinuz-0-rescue-abc = "+kernel, "/boot/initramfs-0-rescue-abc.img = x"), "",
			[]string{"6.5.6-300.fc39.x86_64 /boot/vmlinuz-6.5.6-300.fc39.x86_64 /boot/initramfs-6.5.6-300.fc39.x86_64.img", "0-rescue-abc /boot/vmlinuz-0-rescue-abc /boot/initramfs-0-rescue-abc.img"}},
		{"arch", imagetest.NewTree("/boot/vmlinuz-linux-lts = "+kernel, "/boot/initramfs-linux-lts.img = x", "/boot/initramfs-linux-lts-fallback.img = x"), "",
			[]string{"linux-lts /boot/vmlinuz-linux-lts /boot/initramfs-linux-lts.img"}},
		{"modules folder", imagetest.NewTree("/usr/lib/modules/6.6/vmlinuz = "+kernel, "/lib -> usr/lib"), "",
			[]string{"6.6 /usr/lib/modules/6.6/vmlinuz "}},
		{"one of each", imagetest.NewTree("/vmlinuz = "+kernel, "/initrd.img = x"), "", []string{" /vmlinuz /initrd.img"}},
		{"exact names", imagetest.NewTree("/k = "+kernel, "/i = x"), `{"x": {"type": "kernel", "kernel": "/k", "initrd": "/i"}}`, []string{" /k /i"}},
		{"kernels without their initrd", imagetest.NewTree("/boot/k-1 = "+kernel, "/boot/k-2 = "+kernel, "/boot/i-1 = x"), `{"x": {"type": "kernel", "kernel": "/boot/k-*", "initrd": "/boot/i-*"}}`,
			[]string{"1 /boot/k-1 /boot/i-1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := imagetest.Manifest(t, `{}`)
			if tt.entry != "" {
				m = imagetest.Manifest(t, `{"entrypoints": `+tt.entry+`}`)
			}
			kernels, err := Kernels(m, tt.tree, "")
			var got []string
			for _, k := range kernels {
				got = append(got, k.Version+" "+k.Path+" "+k.Initrd)
			}
			if !slices.Equal(got, tt.want) || err != nil {
				t.Errorf("kernels %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestNoKernel(t *testing.T) {
	for _, tt := range []struct {
		name, manifest string
		tree           imagetest.Tree
		noKernel       bool
		want           string
	}{
		{"none to be found", `{}`, imagetest.NewTree("/boot/"), true, "/boot/vmlinuz-*, "},
		{"not where the manifest says", `{"entrypoints": {"x": {"type": "kernel", "kernel": "/boot/k-*"}}}`, imagetest.NewTree("/boot/vmlinuz-1 = x"), true, "no kernel at /boot/k-*"},
		{"a folder is no kernel", `{}`, imagetest.NewTree("/boot/vmlinuz-1/"), true, "no kernel"},
		{"initrd not where the manifest says", `{"entrypoints": {"x": {"type": "kernel", "kernel": "/k", "initrd": "/boot/i-*"}}}`, imagetest.NewTree("/k = x"), false, "nothing at /boot/i-*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kernels, err := Kernels(imagetest.Manifest(t, tt.manifest), tt.tree, "")
			if err == nil || errors.Is(err, ErrNoKernel) != tt.noKernel || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("kernels %v, error %v; want %q", kernels, err, tt.want)
			}
		})
	}
	if _, err := Kernels(imagetest.Manifest(t, `{}`), imagetest.NewTree("/boot/vmlinuz-1 = x"), "rescue"); err == nil {
		t.Error("an entry point that is not there has a kernel")
	}
}

func TestKernelCheck(t *testing.T) {
	for _, tt := range []struct {
		kernel  Kernel
		machine string
		want    string
	}{
		{Kernel{Arch: "amd64", Requires: "x86_64"}, "amd64", ""},
		{Kernel{Arch: "amd64", Requires: "i386"}, "x86_64", ""},
		{Kernel{}, "arm64", ""},
		{Kernel{Arch: "arm64", Requires: "arm64"}, "", ""},
		{Kernel{Path: "/k", Arch: "arm64"}, "amd64", "kernel /k: it is for arm64, and the machine is amd64: give the machine another image, or the image a kernel for amd64"},
		{Kernel{Path: "/k", Arch: "amd64"}, "i686", "it is for amd64, and the machine is i386"},
		{Kernel{Path: "/k", Arch: "amd64", Requires: "aarch64"}, "amd64", "the image requires arm64, and the machine is amd64"},
		{Kernel{Path: "/k", Arch: "i386", Requires: "amd64"}, "amd64", "it is for i386, and the image requires amd64: install a kernel for amd64"},
	} {
		err := tt.kernel.Check(tt.machine)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("check %+v on %s: %v; want %q", tt.kernel, tt.machine, err, tt.want)
		}
	}
}
