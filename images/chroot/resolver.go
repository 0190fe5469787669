//go:build linux

package chroot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// resolverFile is the file in which programs look for name servers
// (resolv.conf(5)).
const resolverFile = "/etc/resolv.conf"

// resolve makes name resolution inside work as on the host. It runs when the
// image is the root but /dev is still that of the image. So it must not open an
// existing file of the image for writing, which could be a device or a pipe.
func resolve(o *order) error {
	if info, err := os.Stat("/etc"); len(o.Resolver) == 0 || err != nil || !info.IsDir() {
		return nil
	}
	put := replaceResolver
	if o.Write {
		put = coverResolver
	}
	if err := put(o.Resolver); err != nil {
		return fmt.Errorf("give the image a resolver: %w", err)
	}
	return nil
}

// replaceResolver replaces the file, even a symbolic link, in the throw-away
// layer.
func replaceResolver(text []byte) error {
	if info, err := os.Lstat(resolverFile); err == nil && info.IsDir() {
		return nil // a directory here means that the image wants no resolver
	}
	if err := os.Remove(resolverFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeNew(resolverFile, text)
}

// coverResolver does not change the image. It covers an existing file with a
// mount. If there is a dangling link into /run, as systemd-resolved makes it,
// coverResolver creates the target. Otherwise the image gets no resolver.
func coverResolver(text []byte) error {
	info, err := os.Stat(resolverFile)
	switch {
	case err == nil && info.Mode().IsRegular():
		return coverFile(resolverFile, text)
	case !errors.Is(err, fs.ErrNotExist):
		return nil
	}
	target, err := os.Readlink(resolverFile)
	if err != nil {
		return nil
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(resolverFile), target)
	}
	target = filepath.Clean(target)
	if run, err := os.Lstat("/run"); err != nil || !run.IsDir() || !strings.HasPrefix(target, "/run/") {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return writeNew(target, text)
}

// coverFile covers a file with a mount that has another text. Once it is
// mounted, the file with that text has no path of its own.
func coverFile(name string, text []byte) error {
	const place = "/dev"
	if err := mountPoint(place); err != nil {
		return err
	}
	if err := unix.Mount("resolver", place, "tmpfs", apart, "mode=0755,size=64k"); err != nil {
		return err
	}
	other := filepath.Join(place, "text")
	if err := writeNew(other, text); err != nil {
		return err
	}
	if err := unix.Mount(other, name, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return unix.Unmount(place, unix.MNT_DETACH)
}

// writeNew creates a file that must not exist yet. It does not follow symbolic
// links.
func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
