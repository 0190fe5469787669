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

// resolverFile is where programs look for name servers (resolv.conf(5)).
const resolverFile = "/etc/resolv.conf"

// resolve lets programs look up names as the host does. It runs when the
// image is the root and /dev is still the image's: it opens no file of the
// image for writing, which could be a device or a pipe.
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

// replaceResolver puts a file in the throw-away layer in place of what is
// there, be it a link.
func replaceResolver(text []byte) error {
	if info, err := os.Lstat(resolverFile); err == nil && info.IsDir() {
		return nil // whoever made it so wants none
	}
	if err := os.Remove(resolverFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeNew(resolverFile, text)
}

// coverResolver leaves the image as it is. A file is covered; a link to
// nothing in /run, as systemd-resolved wants it, gets what it points at. An
// image without either has no resolver.
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

// coverFile shows another text in place of a file's own. The text's file has
// no name of its own, once it is mounted.
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

// writeNew writes a file that is not there yet, and follows no link.
func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
