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
	"slices"
	"strings"
)

// debianPackages are what a Debian cloudlet has beside the minimal base.
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

// cloudHooks make it an image as clouds have them, which nobody but cloud-init gives a
// name. Its own configuration asks where Amazon's cloud answers.
var cloudHooks = []string{
	`rm "$1/etc/hostname" && sed -i '/etc.hostname/d' "$1/.cloudlet/manifest"`,
	`printf 'datasource_list: [Ec2, None]\ndatasource: {Ec2: {strict_id: false}}\n' >"$1/etc/cloud/cloud.cfg.d/95_cloud.cfg"`,
}

// root is how a Debian root is made.
type root struct {
	name     string // begins that of its file
	packages string // beside the minimal base
	hooks    []string
}

// DebianCloudlet returns a tarball with a real Debian 12 root that is a
// cloudlet: mmdebstrap makes the root, and the files of the folder overlay
// (testdata/debian) go on top. It is made once and kept in cache under the
// digest of its recipe; words about it go to progress.
func DebianCloudlet(ctx context.Context, cache, overlay string, progress io.Writer) (string, error) {
	return root{name: "debian-12-", packages: debianPackages, hooks: debianHooks}.make(ctx, cache, overlay, progress)
}

// CloudCloudlet is [DebianCloudlet] with cloud-init, which alone gives it its hostname.
// Without a datasource of a machine's file, it asks at 169.254.169.254.
func CloudCloudlet(ctx context.Context, cache, overlay string, progress io.Writer) (string, error) {
	return root{
		name: "debian-12-cloud-", packages: debianPackages + ",cloud-init", hooks: slices.Concat(debianHooks, cloudHooks),
	}.make(ctx, cache, overlay, progress)
}

// usedInits are the packages of an init system, what has it execute a program at the end
// of a start, and where it keeps the seed of its random numbers.
var usedInits = map[string]struct{ packages, last, seed string }{
	"systemd": {
		"systemd-sysv,dbus",
		`printf '[Service]\nType=oneshot\nExecStart=/usr/local/sbin/facts\n[Install]\nWantedBy=multi-user.target\n' >"$1/etc/systemd/system/facts.service"; chroot "$1" systemctl --quiet enable facts`,
		"/var/lib/systemd/random-seed",
	},
	"sysvinit": {"sysvinit-core", inittab, "/var/lib/urandom/random-seed"},
	"openrc":   {"openrc,sysvinit-core", inittab, "/var/lib/urandom/random-seed"},
	"runit": {
		"runit-init",
		`mkdir -p "$1/etc/sv/facts" && printf '#!/bin/sh\n/usr/local/sbin/facts\nexec sleep 1000000\n' >"$1/etc/sv/facts/run" && chmod 755 "$1/etc/sv/facts/run" && ln -s /etc/sv/facts "$1/etc/runit/runsvdir/default/facts"`,
		"/var/lib/urandom/random-seed",
	},
}

const inittab = `echo 'fa:2:once:/usr/local/sbin/facts' >>"$1/etc/inittab"`

// facts is a program that says on the console what a machine has for itself, once its SSH
// server answers.
const facts = `#!/bin/sh
ip link set lo up
until answer=$(ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null) && [ "$answer" ]; do sleep 1; done
{
	echo "fact: hostname $(hostname)"
	echo "fact: machine-id $(cat /etc/machine-id 2>/dev/null)"
	echo "fact: dbus $(cat /var/lib/dbus/machine-id 2>/dev/null)"
	echo "fact: answer ${answer##* }"
	for key in /etc/ssh/ssh_host_*_key.pub; do echo "fact: $key $(cut -d' ' -f2 "$key" | sha256sum | cut -c1-40)"; done
	echo "fact: seed $(sha256sum <SEED | cut -c1-40)"
	echo "fact: filesystem $(findmnt -no UUID /)"
	echo "fact: udev $(echo $(ls /etc/udev/rules.d))"
	echo "facts end"
} >/dev/console
`

// UsedRoot returns a tarball with the root filesystem of a Debian 12 that has run with an
// init system (systemd, sysvinit, openrc or runit) and that nobody has made a cloudlet: it
// has a name, SSH host keys and a seed of its own, which it says on its console. mmdebstrap
// leaves no ID in /etc/machine-id.
func UsedRoot(ctx context.Context, cache, init string, progress io.Writer) (string, error) {
	used := usedInits[init]
	return root{
		name: "used-" + init + "-", packages: used.packages + ",udev,linux-image-cloud-amd64,initramfs-tools,e2fsprogs,openssh-client,openssh-server,iproute2,kmod,login,passwd,util-linux,zstd",
		hooks: []string{
			`cat >"$1/usr/local/sbin/facts" <<'END'` + "\n" + strings.ReplaceAll(facts, "SEED", used.seed) + "END\n" + `chmod 755 "$1/usr/local/sbin/facts"`,
			used.last,
			`echo used >"$1/etc/hostname" && printf '127.0.0.1 localhost\n127.0.1.1 used\n' >"$1/etc/hosts"`,
			`mkdir -p "$1` + filepath.Dir(used.seed) + `" && head -c 512 /dev/zero >"$1` + used.seed + `" && chmod 600 "$1` + used.seed + `"`,
			`echo 'SUBSYSTEM=="net", ATTR{address}=="52:54:00:aa:bb:cc", NAME="eth7"' >"$1/etc/udev/rules.d/70-persistent-net.rules"`,
			`chroot "$1" passwd --quiet --delete root`,
		},
	}.make(ctx, cache, "", progress)
}

// make makes the root, unless the cache has it.
func (r root) make(ctx context.Context, cache, overlay string, progress io.Writer) (string, error) {
	recipe, err := r.digest(overlay)
	if err != nil {
		return "", err
	}
	file := filepath.Join(cache, r.name+recipe+".tar")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	fmt.Fprintln(progress, "making a Debian 12 root with mmdebstrap (one to three minutes, once)")
	part := file + ".part.tar"
	defer os.Remove(part)
	args := []string{"--quiet", "--variant=minbase", "--include=" + r.packages}
	for _, exclude := range debianExcludes {
		args = append(args, "--dpkgopt="+exclude)
	}
	if overlay != "" {
		args = append(args, "--customize-hook=copy-in "+overlay+"/etc "+overlay+"/root "+overlay+"/.cloudlet /")
	}
	for _, hook := range r.hooks {
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

// digest names what goes into the root.
func (r root) digest(overlay string) (string, error) {
	return recipeDigest(overlay, r.packages, debianExcludes, r.hooks)
}

// recipeDigest names a recipe: what it says, and the files of a folder.
func recipeDigest(overlay string, says ...any) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, says...)
	if overlay == "" {
		return hex.EncodeToString(hash.Sum(nil))[:12], nil
	}
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
