//go:build linux

package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// imageName is the name of the image that all machines get.
const imageName = "small"

// macOf is the hardware address of the machine with a number.
func macOf(n int) net.HardwareAddr {
	return net.HardwareAddr{0x52, 0x54, 0, byte(n >> 16), byte(n >> 8), byte(n)}
}

// What the site does with strangers: one rule approves those at a switch, by what an
// inspection finds and what the switch tells.
const (
	rackProfile = "rack"
	rackSwitch  = "sw1"
	rackNames   = "node{n}"
)

var strangers = map[string]any{
	"image": imageName,
	"rules": []any{map[string]any{"when": map[string]string{"vendor": vendor, "switch": rackSwitch}, "profile": rackProfile, "name": rackNames}},
}

// writeSite writes a site in which each machine is installed once.
func writeSite(dir, image string, o *options, etcd []string) error {
	for _, sub := range []string{"images", "machines", "profiles"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink(image, filepath.Join(dir, "images", imageName)); err != nil {
		return err
	}
	settings := map[string]any{}
	files := map[string]any{"cloudlets.json": settings}
	if len(etcd) > 0 {
		settings["store"] = map[string]any{"etcd": etcd}
	}
	if o.Strangers > 0 {
		settings["strangers"] = strangers
		files["profiles/"+rackProfile+".json"] = map[string]any{"image": imageName, "install": "once"}
	}
	for name, value := range files {
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	for n := range o.Machines {
		text := fmt.Sprintf(`{"image": %q, "hostname": "m%d", "install": "once"}`, imageName, n)
		name := strings.ReplaceAll(macOf(n).String(), ":", "-") + ".json"
		if err := os.WriteFile(filepath.Join(dir, "machines", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// kernelVersion is that of the image.
const kernelVersion = "6.1.0-fleetsim"

// writeImage writes an image that no computer can run, but that is whole: a kernel
// of a few bytes, two modules, and files of a size.
func writeImage(dir string, size int64, seed uint64) error {
	random := rand.NewChaCha8([32]byte{byte(seed)})
	content := func(n int64) string {
		b := make([]byte, n)
		random.Read(b) // never fails
		return string(b)
	}
	modules := "lib/modules/" + kernelVersion
	files := map[string]string{
		".cloudlet/manifest": `{
			"arch": "x86_64",
			"templates": ["/etc/hostname"],
			"entrypoints": {"linux": {"type": "kernel", "kernel": "/boot/vmlinuz-*", "cmdline": "quiet"}}
		}`,
		"etc/hostname":                                  "<%= env.hostname %>\n",
		"sbin/init":                                     "#!/bin/sh\n",
		"boot/vmlinuz-" + kernelVersion:                 kernel(),
		modules + "/modules.dep":                        "kernel/drivers/net/virtio_net.ko:\nkernel/drivers/block/virtio_blk.ko:\n",
		modules + "/modules.builtin":                    "kernel/fs/ext4/ext4.ko\n",
		modules + "/kernel/drivers/net/virtio_net.ko":   "network",
		modules + "/kernel/drivers/block/virtio_blk.ko": "storage",
	}
	const parts = 16
	for i := range int64(parts) {
		files[fmt.Sprintf("usr/share/part%d", i)] = content(size / parts)
	}
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// kernel begins as the x86 boot protocol has it (Documentation/arch/x86/boot.rst).
func kernel() string {
	b := make([]byte, 64<<10)
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x20c)
	binary.LittleEndian.PutUint16(b[0x236:], 1)
	return string(b)
}
