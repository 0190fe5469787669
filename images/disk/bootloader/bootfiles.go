package bootloader

import (
	"fmt"
	"strings"
	"time"

	"cloudlets/images/disk/fat"
)

// kernelDir is the ESP's folder for kernels. Each version has a folder below it.
const kernelDir = "cloudlet"

// systemdFiles returns the files of the EFI system partition: systemd-boot at the
// path where firmware looks for a loader and at the path where systemd's tools
// keep it, systemd-boot's menu in the form of the Boot Loader Specification,
// GRUB's menu with the same entries, and the kernels for both.
func systemdFiles(a Arch, m Menu, loaders Files) ([]fat.File, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	names := efiNamesOf(a)
	efi, err := loaders.Get(names.systemd)
	if err != nil {
		return nil, err
	}
	files := []fat.File{
		fat.Bytes("EFI/BOOT/"+names.fallback, efi),
		fat.Bytes("EFI/systemd/"+names.systemd, efi),
		fat.Bytes("loader/loader.conf", []byte(m.loaderConf())),
	}
	for _, e := range m.Entries {
		files = append(files, fat.Bytes("loader/entries/"+e.ID+".conf", []byte(e.loaderConf())))
	}
	return append(files, m.forBIOS(a, true)...), nil
}

// kernels returns the kernels and RAM disks, one of each per version.
func (m Menu) kernels() []fat.File {
	var files []fat.File
	done := map[string]bool{}
	for _, e := range m.Entries {
		if done[e.Version] {
			continue
		}
		done[e.Version] = true
		files = append(files, fat.File{Path: e.kernelPath(), Size: e.Kernel.Size, Open: e.Kernel.Open})
		if e.Initrd.Open != nil {
			files = append(files, fat.File{Path: e.initrdPath(), Size: e.Initrd.Size, Open: e.Initrd.Open})
		}
	}
	return files
}

func (e Entry) kernelPath() string { return kernelDir + "/" + e.Version + "/vmlinuz" }
func (e Entry) initrdPath() string { return kernelDir + "/" + e.Version + "/initrd.img" }

func (m Menu) seconds() int { return int((m.Timeout + time.Second - 1) / time.Second) }

// loaderConf returns systemd-boot's configuration.
func (m Menu) loaderConf() string {
	return fmt.Sprintf("default %s.conf\ntimeout %d\nconsole-mode keep\n", m.Entries[0].ID, m.seconds())
}

// loaderConf returns the entry as a type #1 file of the Boot Loader Specification.
func (e Entry) loaderConf() string {
	var b strings.Builder
	fmt.Fprintf(&b, "title %s\nversion %s\nlinux /%s\n", e.Title, e.Version, e.kernelPath())
	if e.Initrd.Open != nil {
		fmt.Fprintf(&b, "initrd /%s\n", e.initrdPath())
	}
	if cmdline := strings.TrimSpace(e.Cmdline); cmdline != "" {
		fmt.Fprintf(&b, "options %s\n", cmdline)
	}
	return b.String()
}
