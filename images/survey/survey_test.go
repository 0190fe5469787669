package survey

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/dirtree"
	"cloudlets/images/layers"
	"cloudlets/images/manifest"
	"cloudlets/images/tarball"
	"cloudlets/testdata/needs"
)

// The machine numbers in ELF headers.
const (
	elfAMD64 = 62
	elf386   = 3
	elfARM64 = 183
)

// made describes a tree to be made: path to content. A path that ends with "/"
// is a directory. Content that begins with "-> " is the target of a link. A
// file is executable if its content begins with 0x7f or "#!", or if it is in a
// bin folder.
type made map[string]string

// tree makes it.
func (m made) tree(t *testing.T) images.Tree {
	t.Helper()
	root := t.TempDir()
	for name, content := range m {
		if err := put(filepath.Join(root, name), content, strings.HasSuffix(name, "/")); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := dirtree.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func put(file, content string, directory bool) error {
	if directory {
		return os.MkdirAll(file, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if target, ok := strings.CutPrefix(content, "-> "); ok {
		return os.Symlink(target, file)
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(content, "\x7fELF") || strings.HasPrefix(content, "#!") {
		mode = 0o755
	}
	return os.WriteFile(file, []byte(content), mode)
}

// program returns the part of an ELF program that tells its machine.
func program(machine uint16) string {
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(head[18:], machine)
	return string(head)
}

// linux returns the part of an amd64 kernel by which it is recognised
// (Documentation/arch/x86/boot.rst).
func linux() string {
	b := make([]byte, 1024)
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x20c)
	binary.LittleEndian.PutUint16(b[0x236:], 1)
	return string(b)
}

// survey examines a tree and checks what must hold for all findings: the
// manifest can be parsed and matches the tree.
func survey(t *testing.T, tree images.Tree) (Findings, *manifest.Manifest) {
	t.Helper()
	f, err := Survey(t.Context(), tree, Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse("test", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if err := CheckTree(m, tree); err != nil {
		t.Errorf("the manifest does not fit the image: %v\n%s", err, text)
	}
	if len(f.Kernels) > 0 {
		if k, err := boot.NewestKernel(m, tree, ""); err != nil || k.Path != f.Kernels[0].Path || k.Initrd != f.Kernels[0].Initrd {
			t.Errorf("the kernel entry point leads to %+v, %v; want %+v", k, err, f.Kernels[0])
		}
	}
	return f, m
}

// why returns all reasons about one thing.
func (f Findings) why(what string) string {
	var all []string
	for _, r := range f.Reasons {
		if r.What == what {
			all = append(all, r.Why)
		}
	}
	return strings.Join(all, "\n")
}

// templatePaths are the paths of the usual templates.
func (f Findings) templatePaths() (all []string) {
	for _, t := range f.Templates {
		all = append(all, t.Path)
	}
	return all
}

var ubuntu = made{
	"etc/os-release": "NAME=\"Ubuntu\"\nVERSION_ID=\"22.04\"\nID=ubuntu\nID_LIKE=debian\nPRETTY_NAME='Ubuntu 22.04.5 LTS'\n",
	"bin":            "-> usr/bin", "sbin": "-> usr/sbin", "lib": "-> usr/lib",
	"usr/bin/bash": program(elfAMD64), "usr/bin/dash": program(elfAMD64), "usr/bin/sh": "-> dash",
	"usr/sbin/init": "-> /lib/systemd/systemd", "usr/lib/systemd/systemd": program(elfAMD64),
	"boot/vmlinuz-5.15.0-9-generic": linux(), "boot/initrd.img-5.15.0-9-generic": "x",
	"boot/vmlinuz-5.15.0-100-generic": linux(), "boot/initrd.img-5.15.0-100-generic": "x",
	"boot/vmlinuz": "-> vmlinuz-5.15.0-100-generic",
	"usr/lib/modules/5.15.0-100-generic/modules.dep": "",
	"var/lib/dpkg/status":                            "", "var/lib/mysql/": "", "var/log/apt/": "", "var/log/mysql/": "", "var/log/journal/0123456789abcdef0123456789abcdef/": "",
	"var/log/nginx/old (1)/": "", "home/": "", "srv/": "", "tmp/": "", "etc/ssh/ssh_host_rsa_key": "secret",
	"etc/machine-id": "0123456789abcdef0123456789abcdef\n", "var/lib/dbus/machine-id": "-> /etc/machine-id",
	"etc/fstab":    "# a comment\nUUID=1234 / ext4 defaults 0 1\n/dev/sda2 none swap sw 0 0\ntmpfs /tmp tmpfs defaults 0 0\n",
	"etc/hostname": "web1\n", "etc/hosts": "127.0.0.1 localhost\n",
}

func TestDistributions(t *testing.T) {
	for name, c := range map[string]struct {
		tree    made
		want    Distribution
		image   string
		init    Init
		shell   string
		arch    string
		kernel  string // and what entry point leads to it
		pattern string
		modules string
		cmdline string
	}{
		"Ubuntu": {
			ubuntu, Distribution{Debian, "ubuntu", "22.04", "Ubuntu 22.04.5 LTS"}, "ubuntu-22.04", Init{Systemd, "/sbin/init"}, "/bin/bash", "amd64",
			"/boot/vmlinuz-5.15.0-100-generic", "/boot/vmlinuz-*", "/lib/modules/5.15.0-100-generic", "console=tty0 console=ttyS0",
		},
		"Alpine": {
			made{
				"etc/os-release": "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.1\nPRETTY_NAME=\"Alpine Linux v3.20\"\n",
				"bin/busybox":    program(elfAMD64), "bin/sh": "-> /bin/busybox", "sbin/init": "-> /bin/busybox", "sbin/openrc": program(elfAMD64),
				"boot/vmlinuz-lts": linux(), "boot/initramfs-lts": "x", "lib/modules/6.6.31-0-lts/modules.dep": "",
				"etc/inittab": "", "lib/apk/db/installed": "", "var/lib/": "", "var/cache/apk/": "",
			},
			Distribution{Alpine, "alpine", "3.20.1", "Alpine Linux v3.20"}, "alpine-3.20.1", Init{OpenRC, "/sbin/init"}, "/bin/sh", "amd64",
			"/boot/vmlinuz-lts", "/boot/vmlinuz-*", "/lib/modules/6.6.31-0-lts", "console=tty0 console=ttyS0 modules=sd-mod,usb-storage,ext4",
		},
		"Fedora": {
			made{
				"etc/os-release": "-> ../usr/lib/os-release", "usr/lib/os-release": "ID=fedora\nVERSION_ID=40\nPRETTY_NAME=\"Fedora Linux 40\"\n",
				"usr/bin/bash": program(elfAMD64), "usr/bin/sh": "-> bash", "bin": "-> usr/bin", "sbin": "-> usr/sbin", "lib": "-> usr/lib",
				"usr/sbin/init": "-> ../lib/systemd/systemd", "usr/lib/systemd/systemd": program(elfAMD64),
				"boot/vmlinuz-6.8.5-301.fc40.x86_64": linux(), "boot/initramfs-6.8.5-301.fc40.x86_64.img": "x",
				"boot/vmlinuz-0-rescue-00112233445566778899aabbccddeeff": linux(), "boot/initramfs-0-rescue-00112233445566778899aabbccddeeff.img": "x",
				"usr/lib/modules/6.8.5-301.fc40.x86_64/modules.dep": "", "var/lib/rpm/": "", "var/cache/dnf/": "",
			},
			Distribution{RedHat, "fedora", "40", "Fedora Linux 40"}, "fedora-40", Init{Systemd, "/sbin/init"}, "/bin/bash", "amd64",
			"/boot/vmlinuz-6.8.5-301.fc40.x86_64", "/boot/vmlinuz-*", "/lib/modules/6.8.5-301.fc40.x86_64", "console=tty0 console=ttyS0",
		},
		"Rocky": {
			made{"etc/os-release": "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n", "bin/sh": program(elfARM64)},
			Distribution{RedHat, "rocky", "9.4", ""}, "rocky-9.4", Init{}, "/bin/sh", "arm64", "", "", "", "",
		},
		"Arch": {
			made{
				"etc/os-release": "ID=arch\nPRETTY_NAME=\"Arch Linux\"\nBUILD_ID=rolling\n", "bin": "-> usr/bin", "sbin": "-> usr/bin", "lib": "-> usr/lib",
				"usr/bin/bash": program(elfAMD64), "usr/bin/init": "-> ../lib/systemd/systemd", "usr/lib/systemd/systemd": program(elfAMD64),
				"boot/vmlinuz-linux": linux(), "boot/initramfs-linux.img": "x", "boot/initramfs-linux-fallback.img": "x",
				"usr/lib/modules/6.9.1-arch1-1/pkgbase": "linux\n", "usr/lib/modules/6.9.1-arch1-1/modules.dep": "", "var/lib/pacman/local/": "",
			},
			Distribution{Arch, "arch", "", "Arch Linux"}, "arch", Init{Systemd, "/sbin/init"}, "/bin/bash", "amd64",
			"/boot/vmlinuz-linux", "/boot/vmlinuz-*", "/lib/modules/6.9.1-arch1-1", "console=tty0 console=ttyS0",
		},
		"an old Debian": {
			made{
				"etc/debian_version": "5.0.4\n", "bin/bash": program(elf386), "sbin/init": program(elf386), "etc/inittab": "",
				"boot/vmlinuz-2.6.26-2-686": "x", "vmlinuz": "-> boot/vmlinuz-2.6.26-2-686", "var/lib/dpkg/status": "", "var/run/": "", "var/log/wtmp": "",
			},
			Distribution{Debian, "debian", "5.0.4", ""}, "debian-5.0.4", Init{SysVInit, "/sbin/init"}, "/bin/bash", "i386",
			"/boot/vmlinuz-2.6.26-2-686", "/boot/vmlinuz-*", "", "console=tty0 console=ttyS0",
		},
		"just a busybox": {
			made{"bin/busybox": program(elfARM64), "sbin/init": "-> ../bin/busybox", "bin/sh": "-> busybox"},
			Distribution{Family: Busybox}, "busybox", Init{BusyboxInit, "/sbin/init"}, "/bin/sh", "arm64", "", "", "", "",
		},
		"one program": {
			made{"app": program(elfAMD64)}, Distribution{Family: Unknown}, "unknown", Init{}, "", "", "", "", "", "",
		},
		"an unversioned kernel": {
			made{"boot/vmlinuz": linux(), "bin/sh": program(elfAMD64), "init": "#!/bin/sh\n"},
			Distribution{Family: Unknown}, "unknown", Init{OtherSystem, "/init"}, "/bin/sh", "amd64", "/boot/vmlinuz", "/boot/vmlinuz", "", "console=tty0 console=ttyS0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, m := survey(t, c.tree.tree(t))
			if f.Distribution != c.want || f.Name != c.image || f.Init != c.init || f.Shell != c.shell || f.Arch != c.arch {
				t.Errorf("%+v, name %q, init %+v, shell %q, arch %q; want %+v, %q, %+v, %q, %q",
					f.Distribution, f.Name, f.Init, f.Shell, f.Arch, c.want, c.image, c.init, c.shell, c.arch)
			}
			if c.kernel == "" {
				if len(f.Kernels) > 0 || !strings.Contains(f.why("entrypoints kernel"), "not booted") {
					t.Errorf("kernels %+v, and why: %q", f.Kernels, f.why("entrypoints kernel"))
				}
				return
			}
			e, err := m.EntryPoint(manifest.KernelEntry, "")
			if err != nil || e.Kernel != c.pattern || e.Cmdline != c.cmdline {
				t.Errorf("kernel %q, command line %q, %v; want %q, %q", e.Kernel, e.Cmdline, err, c.pattern, c.cmdline)
			}
			if f.Kernels[0].Path != c.kernel || f.Kernels[0].Modules != c.modules {
				t.Errorf("kernel %q with modules in %q, want %q and %q", f.Kernels[0].Path, f.Kernels[0].Modules, c.kernel, c.modules)
			}
		})
	}
}

// TestWhatIsKept checks that the right files of a real system are volatile or
// persistent.
func TestWhatIsKept(t *testing.T) {
	f, m := survey(t, ubuntu.tree(t))
	for path, want := range map[string]bool{
		"/tmp": false, "/tmp/x": true, "/var/log": false, "/var/log/syslog": true, "/var/log/apt": false, "/var/log/apt/history.log": true,
		"/var/log/aptitude": true, "/var/log/mysql": false, "/var/log/mysql/error.log": true, "/var/log/nginx/old (1)": false, "/var/log/nginx/old (1)/a": true,
		"/var/log/journal": false, "/var/log/journal/0123456789abcdef0123456789abcdef": true,
		"/var/lib/dpkg/status": false, "/var/lib/dpkg/status-old": true, "/etc/ssh/ssh_host_rsa_key": true, "/etc/ssh/sshd_config": false,
		"/etc/machine-id": true, "/etc/machine-info": false, "/etc/machine-id.d": false, "/home/joe/file": false, "/etc/hostname": false,
	} {
		if got := m.IsVolatile(path); got != want {
			t.Errorf("volatile %s: %v, want %v", path, got, want)
		}
	}
	want := []string{"/home", "/srv", "/var/lib/mysql", "/etc/machine-id"}
	if !slices.Equal(f.Persistent, want) {
		t.Errorf("persistent %q, want %q", f.Persistent, want)
	}
	if want := []string{"/etc/hostname", "/etc/hosts"}; !slices.Equal(f.templatePaths(), want) || m.Templates != nil {
		t.Errorf("templates suggested %q, written %q; want %q and none", f.templatePaths(), m.Templates, want)
	}
	for what, word := range map[string]string{
		"/etc/fstab": "for /, none", "/var/lib": "dpkg", "volatile /etc/ssh/ssh_host_.+": "ssh-keygen -A", "volatile /etc/machine-id$": "have an empty file",
	} {
		if !strings.Contains(f.why(what), word) {
			t.Errorf("why %s: %q, want %q in it", what, f.why(what), word)
		}
	}
}

// TestEveryChoiceHasAReason checks what "init" promises to its user.
func TestEveryChoiceHasAReason(t *testing.T) {
	f, _ := survey(t, ubuntu.tree(t))
	for kind, list := range map[string][]string{"persistent ": f.Persistent, "volatile ": f.Volatile, "templates ": f.templatePaths()} {
		for _, value := range list {
			if f.why(kind+value) == "" {
				t.Errorf("%s%s: no reason", kind, value)
			}
		}
	}
	for _, what := range []string{"name", "arch", "entrypoints kernel", "entrypoints init", "entrypoints chroot"} {
		if f.why(what) == "" {
			t.Errorf("%s: no reason", what)
		}
	}
}

func TestWholeStateIsPersistent(t *testing.T) {
	f, m := survey(t, made{"var/lib/": "", "var/log/": "", "bin/sh": program(elfAMD64)}.tree(t))
	if !slices.Equal(f.Persistent, []string{"/var/lib"}) {
		t.Errorf("persistent %q", f.Persistent)
	}
	if m.IsVolatile("/var/log/wtmp") || !m.IsVolatile("/var/log/messages") {
		t.Error("without systemd nothing makes /var/log/wtmp anew: it has to stay, and the other logs to go")
	}
}

func TestArchitecturesDisagree(t *testing.T) {
	f, _ := survey(t, made{
		"bin/sh": program(elf386), "bin/ls": program(elf386), "usr/bin/env": program(elfARM64), "boot/vmlinuz-6.1": linux(), "sbin/init": "#!/bin/sh\n",
	}.tree(t))
	if f.Arch != "i386" || !strings.Contains(f.why("arch"), "/usr/bin/env are for arm64") {
		t.Errorf("arch %q: %q", f.Arch, f.why("arch"))
	}
	if f.why("/boot/vmlinuz-6.1") != "" {
		t.Error("an amd64 kernel runs i386 programs")
	}
	f, _ = survey(t, made{"bin/sh": program(elfARM64), "boot/vmlinuz-6.1": linux()}.tree(t))
	if !strings.Contains(f.why("/boot/vmlinuz-6.1"), "is for amd64") {
		t.Errorf("an amd64 kernel and arm64 programs: %q", f.why("/boot/vmlinuz-6.1"))
	}
}

// TestHostileTrees has cycles of links, links that climb out, directories where
// files should be, and programs that are not programs.
func TestHostileTrees(t *testing.T) {
	for name, tree := range map[string]made{
		"links in a circle": {"bin/sh": "-> bash", "bin/bash": "-> sh", "sbin": "-> sbin", "etc/os-release": "-> /etc/os-release", "lib/modules": "-> modules"},
		"links that climb":  {"bin/sh": "-> ../../../../../../../../bin/sh", "etc/os-release": "-> ../../../../../../etc/hostname", "var/log": "-> /../../../../../var/log"},
		"wrong types":       {"bin/sh/": "", "sbin/init/": "", "etc/os-release/": "", "etc/machine-id/": "", "etc/fstab/": "", "boot": "x", "var/log": "x", "etc/ssh": "x"},
		"a large file":      {"etc/os-release": strings.Repeat("ID=x\n", maxText), "etc/machine-id": strings.Repeat("a", 1<<20)},
		"awkward names":     {"var/log/a\nb/": "", "var/log/\xff/": "", "var/log/[(*/": "", "bin/sh": "\x7fELF"},
		"nothing":           {},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := survey(t, tree.tree(t))
			if f.Arch != "" || f.Init.Path != "" {
				t.Errorf("it found arch %q and init %+v", f.Arch, f.Init)
			}
		})
	}
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Survey(ctx, made{}.tree(t), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestDebian examines a real Debian system.
func TestDebian(t *testing.T) {
	found := needs.Made(t, "../../.cache/debian-12-*.tar", "setup-image")
	im, err := images.New(t.Context(), found, layers.WithManifest(tarball.New(found), []byte("{}")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := im.Close(); err != nil {
			t.Error(err)
		}
	})
	tree, err := im.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, m := survey(t, tree)
	want := Distribution{Debian, "debian", "12", "Debian GNU/Linux 12 (bookworm)"}
	if f.Distribution != want || f.Arch != "amd64" || f.Init != (Init{Systemd, "/sbin/init"}) || f.Shell != "/bin/bash" {
		t.Errorf("%+v, %s, %+v, %s", f.Distribution, f.Arch, f.Init, f.Shell)
	}
	if len(f.Kernels) != 1 || f.Kernels[0].Modules != "/lib/modules/"+f.Kernels[0].Version || f.Kernels[0].Initrd == "" {
		t.Errorf("kernels %+v", f.Kernels)
	}
	for path, want := range map[string]bool{
		"/var/lib/apt/lists/partial": false, "/var/cache/apt/archives/partial": false, "/var/cache/apt/pkgcache.bin": true,
		"/var/log/apt": false, "/var/log/apt/term.log": true, "/var/log/dpkg.log": true, "/var/lib/dpkg/status": false, "/etc/ssh/sshd_config": false,
		"/var/cache/debconf/config.dat": false, "/etc/machine-id": false,
	} {
		if got := m.IsVolatile(path); got != want {
			t.Errorf("volatile %s: %v, want %v", path, got, want)
		}
	}
	for _, path := range []string{"/home", "/srv", "/var/mail"} {
		if !m.IsPersistent(path) {
			t.Errorf("%s is not persistent", path)
		}
	}
}

func TestParseRelease(t *testing.T) {
	for text, want := range map[string]Distribution{
		"":                                      {Family: Unknown},
		"ID=debian":                             {Family: Debian, ID: "debian"},
		"# ID=arch\nID='my\\os'\n":              {Family: Unknown, ID: `my\os`},
		"ID=\"a\\\"b\" # comment\nVERSION_ID":   {Family: Unknown, ID: `a"b`},
		"ID_LIKE='suse fedora'\nID=x\r\n":       {Family: SUSE, ID: "x"},
		"ID=fedora junk\nPRETTY_NAME=\"F\x07\"": {Family: RedHat, ID: "fedora", Name: "F"},
	} {
		if got := parseRelease(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

// FuzzRelease checks that the manifest can be parsed for any os-release.
func FuzzRelease(f *testing.F) {
	f.Add("ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME='Debian'\n")
	f.Add("ID=\"\\\nID_LIKE=\xff\xfe\nPRETTY_NAME=\"<%= x %>\"")
	f.Fuzz(func(t *testing.T, text string) {
		d := parseRelease(text)
		findings := Findings{Name: imageName(d), Distribution: d, Volatile: []string{"/tmp/.+"}}
		if _, err := findings.Manifest(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
