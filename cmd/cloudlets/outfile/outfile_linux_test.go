package outfile_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/outfile"
)

// TestNoFileAmongDevices: who names a device that is not there does not get a file that fills
// the memory, by whatever name the folder of the devices is meant.
func TestNoFileAmongDevices(t *testing.T) {
	link := filepath.Join(t.TempDir(), "devices")
	if err := os.Symlink("/dev", link); err != nil {
		t.Fatal(err)
	}
	for name, refused := range map[string]bool{
		"/dev/sdnone": true, "/dev/disk/by-id/none": true, "/dev/../dev/sdnone": true, link + "/sdnone": true,
		"/dev/shm/cloudlets-none": false, "/dev/shm/none/disk.raw": false, "/devices": false, "sdnone": false,
	} {
		err := outfile.CheckDeviceName(name)
		if (err != nil) != refused || err != nil && !strings.Contains(err.Error(), "there is no device /dev/") {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := outfile.Flags{Out: "/dev/cloudlets-none", Force: true}
	if err := f.Write(verb(t.Context()), func(context.Context, io.Writer) error { t.Error("it is begun"); return nil }); err == nil || !strings.Contains(err.Error(), "cloudlets disk --list") {
		t.Error(err)
	}
}

// TestALinkIsNotReplaced, and what it leads to is not written.
func TestALinkIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), "precious")
	f := outfile.Flags{Out: filepath.Join(dir, "link"), Force: true}
	if err := os.Symlink("file", f.Out); err != nil {
		t.Fatal(err)
	}
	err := f.Write(verb(t.Context()), func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "new")
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Error(err)
	}
	wantFiles(t, dir, map[string]string{"file": "precious", "link": "precious"})
}

// TestAFileHasTheModeOfTheUmask, as one has that a shell makes.
func TestAFileHasTheModeOfTheUmask(t *testing.T) {
	defer unix.Umask(unix.Umask(0o027))
	f := outfile.Flags{Out: filepath.Join(t.TempDir(), "disk.raw")}
	if err := f.Write(verb(t.Context()), func(context.Context, io.Writer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(f.Out); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

// TestATerminalGetsNoBytes: a forgotten --out does not fill the screen with a disk, and is a
// mistake in the command line.
func TestATerminalGetsNoBytes(t *testing.T) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	terminal := os.NewFile(uintptr(fd), "/dev/ptmx")
	defer terminal.Close()
	cmd, f := verb(t.Context()), outfile.Flags{Out: "-"}
	cmd.SetOut(terminal)
	err = f.Write(cmd, func(context.Context, io.Writer) error { t.Error("it is begun"); return nil })
	coded, ok := errors.AsType[exit.Error](err)
	if !ok || coded.Code != exit.Usage || !strings.Contains(err.Error(), "--out FILE") {
		t.Errorf("the error is %v", err)
	}
}
