//go:build !race

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk/disktest"
	"cloudlets/images/imagetest"
	"cloudlets/images/pack"
	"cloudlets/images/source"
	"cloudlets/testdata/needs"
)

// TestOneIdentity has what a distribution has of each sort, but not the bulk of
// its files: a kernel, devices, capabilities, programs that run as their owner,
// directories of other owners. TestLongOneIdentity has all of Debian.
func TestOneIdentity(t *testing.T) {
	const kernelAlone = `{"entrypoints": {"linux": {"type": "kernel", "kernel": "/boot/vmlinuz-*"}}}`
	oneIdentity(t, kernelAlone, "./.cloudlet", "./boot/vmlinuz-*", "./dev", "./etc", "./root", "./usr/bin/p*", "./usr/bin/su", "./var/cache", "./var/lo*", "./var/mail")
}

// oneIdentity has parts of Debian by patterns, or all of it if there are none, as a
// directory, as a revision of a repository, as a tarball that GNU tar made of
// the directory, and as a container image: one pack and one disk. The
// repository's files have the time of the revision, so the directory's have it
// too. It reads them many times, and so runs without the race detector, which
// makes that minutes.
func oneIdentity(t *testing.T, manifest string, parts ...string) {
	t.Helper()
	needs.Root(t) // for owners and devices
	git, tar, zstd := needs.Tool(t, "git", "git"), needs.Tool(t, "tar", "tar"), needs.Tool(t, "zstd", "zstd")
	root, err := filepath.Abs(needs.Made(t, "../../.cache/debian-12-*.tar", "setup-image"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "debian")
	at := time.Unix(1.7e9, 0)
	imagetest.Must(t, os.MkdirAll(filepath.Join(dir, ".cloudlet"), 0o755))
	runIn(t, dir, tar, append([]string{"-xpf", root, "--numeric-owner", "--xattrs", "--xattrs-include=*", "--wildcards"}, parts...)...)
	imagetest.Must(t, os.WriteFile(filepath.Join(dir, ".cloudlet/manifest"), []byte(manifest), 0o644))
	t.Setenv("GIT_COMMITTER_DATE", at.Format(time.RFC3339))
	t.Setenv("HOME", t.TempDir())
	runIn(t, dir, git, "config", "--global", "user.name", "Test")
	runIn(t, dir, git, "config", "--global", "user.email", "test@example.net")
	for _, args := range [][]string{{"init", "-q"}, {"add", "--all"}, {"commit", "-q", "-m", "Debian"}} {
		runIn(t, dir, "cloudlets", append([]string{"git", dir}, args...)...)
	}
	setTimes(t, dir, at)

	plain, packed := dir+".tar", dir+".tar.zst"
	runIn(t, dir, tar, "-cf", plain, "--exclude=./.git", "--sort=none", "--xattrs", "--xattrs-include=*", ".")
	runIn(t, dir, zstd, "-q", "-1", plain, "-o", packed)
	want, first, firstDisk := "", "", ""
	for _, form := range []struct{ name, ref string }{
		{"directory", dir}, {"revision", dir + "@HEAD"}, {"tarball", packed}, {"container", imagetest.OCILayout(t, plain)},
	} {
		got, disk := packDigest(t, form.ref), rawDisk(t, form.ref)
		t.Log(form.name, got)
		if want == "" {
			want, first, firstDisk = got, form.name, disk
			continue
		}
		if got != want {
			t.Errorf("%s: pack %s; %s: pack %s", first, want, form.name, got)
		}
		if err := disktest.SameFiles(firstDisk, disk); err != nil {
			t.Errorf("%s and %s give two disks: %v", first, form.name, err)
		}
		imagetest.Must(t, os.Remove(disk))
	}
}

// runIn runs a program in a directory.
func runIn(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", program, args, err, out)
	}
}

// setTimes gives all files of an image one time.
func setTimes(t *testing.T, dir string, at time.Time) {
	t.Helper()
	times := []unix.Timespec{unix.NsecToTimespec(at.UnixNano()), unix.NsecToTimespec(at.UnixNano())}
	imagetest.Must(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p == filepath.Join(dir, ".git"):
			return filepath.SkipDir
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, times, unix.AT_SYMLINK_NOFOLLOW)
	}))
}

func packDigest(t *testing.T, ref string) string {
	t.Helper()
	im, err := source.Open(t.Context(), ref, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { imagetest.Must(t, im.Close()) }()
	info, err := pack.Write(t.Context(), io.Discard, im.Source, pack.Options{Level: 1})
	imagetest.Must(t, err)
	return info.Digest
}

// rawDisk is the raw disk that the program makes, in a file with holes.
func rawDisk(t *testing.T, ref string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "disk.raw")
	runIn(t, ".", "cloudlets", "disk", ref, "--format", "raw", "--out", file)
	return file
}
