package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// benchEnv names the tarball of a root filesystem with a kernel.
const benchEnv = "CLOUDLETS_BENCH_ROOT"

// What making a disk may take of memory, in bytes.
const (
	memoryBase = 64 << 20
	memoryFile = 200 // for each file
)

// BenchmarkRawMemory makes raw disks with the program as it is built, and
// reports its peak of resident memory, and that over what it may take.
func BenchmarkRawMemory(b *testing.B) {
	root := os.Getenv(benchEnv)
	if root == "" {
		b.Fatalf("set %s to the tarball of a root filesystem, such as mmdebstrap makes", benchEnv)
	}
	dir := b.TempDir()
	program := buildProgram(b, dir)
	debian, many := filepath.Join(dir, "debian"), filepath.Join(dir, "many")
	mustUnpack(b, root, debian)
	mustUnpack(b, root, many, "./boot")
	makeManyFiles(b, many, 100_000)
	mustRun(b, exec.CommandContext(b.Context(), "tar", "-cf", many+".tar", "-C", many, "."))
	for _, c := range []struct{ name, image string }{
		{"debian-tar", root}, {"debian-dir", debian}, {"100k-files-tar", many + ".tar"}, {"100k-files-dir", many},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				peak, files := rawPeak(b, program, c.image, filepath.Join(dir, "disk.img"))
				b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
				b.ReportMetric(float64(peak)/float64(memoryBase+memoryFile*files), "x-allowed")
			}
		})
	}
}

// makeManyFiles adds small files, a hundred to a directory, and a manifest.
func makeManyFiles(b *testing.B, dir string, count int) {
	b.Helper()
	put := func(name, content string) {
		err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	put(".cloudlet/manifest", `{"entrypoints": {"linux": {"type": "kernel", "kernel": "/boot/vmlinuz-*", "initrd": "/boot/initrd.img-*"}}}`)
	for i := range count {
		put(fmt.Sprintf("srv/%d/%d/some-file-%d", i/10_000, i/100, i), fmt.Sprintf("%01000d", i))
	}
}

func mustUnpack(b *testing.B, tarball, dir string, names ...string) {
	b.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	args := append([]string{"-xpf", tarball, "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", dir}, names...)
	mustRun(b, exec.CommandContext(b.Context(), "tar", args...))
}

// rawPeak makes a disk and returns the most that the program had in memory,
// in bytes, and how many files the disk has. GNU time stands between: what a
// process is told of its child's peak begins with its own memory.
func rawPeak(b *testing.B, program, image, disk string) (peak, files int64) {
	b.Helper()
	timer, err := exec.LookPath("time")
	if err != nil {
		b.Fatal("time is missing: install the Debian package time")
	}
	cmd := exec.CommandContext(b.Context(), timer, "--quiet", "--format", "peak %M", program, "raw", image, disk, "--force", "--json",
		"--env", "hostname=web1", "--env", "mac=52:54:00:00:00:01")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%v: %v\n%s", cmd.Args, err, said.String())
	}
	var made made
	if err := json.Unmarshal(out, &made); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	_, after, _ := strings.Cut(said.String(), "peak ")
	peak, err = strconv.ParseInt(strings.TrimSpace(after), 10, 64)
	if err != nil {
		b.Fatalf("time said: %s", said.String())
	}
	return peak << 10, int64(made.Entries)
}

func mustRun(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}
