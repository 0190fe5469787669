package target_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/layers"
	"cloudlets/images/target"
)

// linux is an image's kernel with its initrd, and a manifest with more members.
func linux(manifest string) map[string]string {
	return map[string]string{
		"boot/vmlinuz-6.1": string(kernel()), "boot/initrd.img-6.1": "RAM disk",
		".cloudlet/manifest": "{" + manifest + "}",
	}
}

// with adds files.
func with(files map[string]string, more ...string) map[string]string {
	for i := 0; i < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	return files
}

// TestMachineID: a copy that starts systemd has an empty /etc/machine-id, since
// without the file systemd would set up the system anew. Others have none.
func TestMachineID(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 2) + "\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string // "none", or the content
	}{
		"systemd":      {with(linux(`"volatile": ["/etc/machine-id$"], "entrypoints": {"i": {"type": "init", "path": "/sbin/systemd"}}`), "sbin/systemd", "x", "etc/machine-id", id), ""},
		"another init": {with(linux(`"volatile": ["/etc/machine-id$"]`), "sbin/init", "x", "etc/machine-id", id), "none"},
		"no init":      {with(linux(`"volatile": ["/etc/machine-id$"]`), "etc/machine-id", id), "none"},
		"none there":   {with(linux(`"volatile": ["/etc/machine-id$"]`), "sbin/systemd", "x"), "none"},
		"not volatile": {with(linux(""), "sbin/systemd", "x", "etc/machine-id", id), id},
	} {
		t.Run(name, func(t *testing.T) {
			s := systemOf(t, c.files)
			tree, ok := s.Source.(*dirtree.Dir)
			if !ok {
				t.Fatalf("the image is a %T", s.Source)
			}
			files, volatile, err := target.CopyOf(s.Manifest, tree)
			check(t, err)
			got, last := "none", ""
			check(t, layers.Select(files, func(p string) bool { return !volatile(p) }).Walk(context.Background(), func(e images.Entry, r io.Reader) error {
				if images.ComparePaths(last, e.Path) > 0 {
					t.Errorf("%s comes after %s", e.Path, last)
				}
				if last = e.Path; e.Path != "/etc/machine-id" {
					return nil
				}
				text, err := io.ReadAll(r)
				got = string(text)
				return err
			}))
			if got != c.want {
				t.Errorf("/etc/machine-id: %q, want %q", got, c.want)
			}
		})
	}
}

// TestOwnRoot: the disk has a root filesystem of its own, whatever the
// manifest's command line says.
func TestOwnRoot(t *testing.T) {
	s := systemOf(t, linux(`"entrypoints": {"k": {"type": "kernel", "kernel": "/boot/vmlinuz-*", "initrd": "/boot/initrd.img-*", "cmdline": "root=LABEL=old quiet rootflags=subvol=@"}}`))
	d, err := target.NewDisk(t.Context(), s, target.Options{})
	check(t, err)
	line := d.Boot().Cmdline
	if strings.Count(line, "root=") != 1 || strings.Contains(line, "old") || strings.Contains(line, "subvol") || !strings.Contains(line, " quiet") {
		t.Errorf("command line %q", line)
	}
	if want := "root=LABEL=old rootflags=subvol=@ was taken out"; len(d.Notices) != 1 || !strings.Contains(d.Notices[0], want) {
		t.Errorf("notices %q, want %q", d.Notices, want)
	}
}

// TestNotices: a person is told what would keep a copy from starting.
func TestNotices(t *testing.T) {
	const initrd = "/boot/initrd.img-6.1"
	rootless := linux("")
	delete(rootless, initrd[1:])
	for name, c := range map[string]struct {
		files   map[string]string
		overlay images.Overlay
		want    string // in the only notice; "" is for none
	}{
		"nothing":         {linux(""), nil, ""},
		"LABEL=":          {with(linux(""), "etc/fstab", "LABEL=rootfs / ext4 defaults 0 1\nLABEL=cloudlet / ext4 defaults\n"), nil, "one machine for /:"},
		"PARTLABEL=":      {with(linux(""), "etc/fstab", "PARTLABEL=data /data ext4 defaults 0 1\n"), nil, "for /data:"},
		"nofail":          {with(linux(""), "etc/fstab", "PARTLABEL=data /data ext4 rw,nofail 0 1\n/dev/sr0 /mnt iso9660 noauto\ntmpfs /tmp tmpfs\n"), nil, ""},
		"a rendered one":  {with(linux(`"templates": ["/etc/fstab"]`), "etc/fstab", "tmpfs"), images.Overlay{{Entry: images.Entry{Path: "/etc/fstab"}, Content: []byte("UUID=1 /x ext4")}}, "for /x:"},
		"a template":      {with(linux(`"templates": ["/etc/fstab"]`), "etc/fstab", "UUID=1 / ext4"), nil, ""},
		"no initrd":       {with(rootless, "lib/modules/6.1/modules.builtin", "kernel/fs/ext4/ext4.ko\n"), nil, "has no initrd"},
		"a driver inside": {with(linux(""), "lib/modules/6.1/modules.builtin", ""), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := systemOf(t, c.files)
			s.Overlay = c.overlay
			d, err := target.NewDisk(t.Context(), s, target.Options{})
			check(t, err)
			if got := strings.Join(d.Notices, "\n"); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("notices %q, want %q", got, c.want)
			}
		})
	}
}
