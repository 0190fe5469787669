package bed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// debianPackages are what the Debian cloudlet has beside the minimal base.
const debianPackages = "systemd-sysv,udev,dbus,linux-image-cloud-amd64,initramfs-tools,e2fsprogs,openssh-server,iproute2,iputils-ping,kmod,login,passwd,zstd,libcap2-bin,less"

// debianExcludes are what a server does without; the notices of the licences
// stay.
var debianExcludes = []string{
	"path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/info/*",
	"path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright",
}

// debianHooks finish the root. The units that are disabled look after LVM
// snapshots, which there are none of, for half a minute of an emulated boot.
var debianHooks = []string{
	`chroot "$1" systemctl --quiet enable systemd-networkd`,
	`chroot "$1" systemctl --quiet disable e2scrub_reap.service e2scrub_all.timer`,
	`chroot "$1" passwd --quiet --delete root`,
}

// DebianCloudlet returns a tarball with a real Debian 12 root that is a
// cloudlet: mmdebstrap makes the root, and the files of the folder overlay
// (testdata/debian) go on top. It is made once and kept in cache under the
// digest of its recipe; words about it go to progress.
func DebianCloudlet(ctx context.Context, cache, overlay string, progress io.Writer) (string, error) {
	recipe, err := recipeDigest(overlay)
	if err != nil {
		return "", err
	}
	file := filepath.Join(cache, "debian-12-"+recipe+".tar")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	fmt.Fprintln(progress, "making a Debian 12 root with mmdebstrap (one to three minutes, once)")
	part := file + ".part.tar"
	defer os.Remove(part)
	args := []string{"--quiet", "--variant=minbase", "--include=" + debianPackages}
	for _, exclude := range debianExcludes {
		args = append(args, "--dpkgopt="+exclude)
	}
	args = append(args,
		"--customize-hook=copy-in "+overlay+"/etc "+overlay+"/root "+overlay+"/.cloudlet /")
	for _, hook := range debianHooks {
		args = append(args, "--customize-hook="+hook)
	}
	args = append(args, "bookworm", part)
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	cmd.Stdout, cmd.Stderr = progress, progress
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("make a Debian root: mmdebstrap: %w (Debian package mmdebstrap; it fetches packages from the sources that apt has)", err)
	}
	return file, os.Rename(part, file)
}

// recipeDigest names what goes into the root.
func recipeDigest(overlay string) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, debianPackages, debianExcludes, debianHooks)
	err := filepath.WalkDir(overlay, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		fmt.Fprintf(hash, "%s %d\n%s", strings.TrimPrefix(name, overlay), len(data), data)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the files of the Debian cloudlet: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil))[:12], nil
}
