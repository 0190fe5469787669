package main

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
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
	million := filepath.Join(dir, "million")
	writeManyFiles(b, root, million+".tar", 1_000_000)
	mustUnpack(b, million+".tar", million)
	for _, c := range []struct{ name, image string }{
		{"debian-tar", root}, {"debian-dir", debian}, {"100k-files-tar", many + ".tar"}, {"100k-files-dir", many},
		{"1m-files-tar", million + ".tar"}, {"1m-files-dir", million},
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

// manyFilesManifest is that of an image with a Debian kernel and many files.
const manyFilesManifest = `{"entrypoints": {"linux": {"type": "kernel", "kernel": "/boot/vmlinuz-*", "initrd": "/boot/initrd.img-*"}}}`

// manyFilesPath is where the file of a number is: a hundred are in a
// directory.
func manyFilesPath(i int) string { return fmt.Sprintf("srv/%d/%d/some-file-%d", i/10_000, i/100, i) }

// makeManyFiles adds small files and a manifest.
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
	put(".cloudlet/manifest", manyFilesManifest)
	for i := range count {
		put(manyFilesPath(i), fmt.Sprintf("%01000d", i))
	}
}

// writeManyFiles writes a tarball of the kernels in root and of files of
// which nine in ten are empty: a block for each would make a disk of
// gigabytes, and what is kept of a file is the same.
func writeManyFiles(b *testing.B, root, name string, count int) {
	b.Helper()
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buffered := bufio.NewWriterSize(f, 1<<20)
	w := tar.NewWriter(buffered)
	put := func(name, content string) {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Unix(1.7e9, 0)})
		if err == nil {
			_, err = io.WriteString(w, content)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	copyKernels(b, root, w)
	put(".cloudlet/manifest", manyFilesManifest)
	for i := range count {
		content := ""
		if i%10 == 0 {
			content = fmt.Sprintf("%0100d", i)
		}
		put(manyFilesPath(i), content)
	}
	if err := errors.Join(w.Close(), buffered.Flush(), f.Close()); err != nil {
		b.Fatal(err)
	}
}

// copyKernels copies what is in the folder /boot of a tarball.
func copyKernels(b *testing.B, from string, w *tar.Writer) {
	b.Helper()
	f, err := os.Open(from)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r := tar.NewReader(bufio.NewReader(f))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil && strings.HasPrefix(strings.TrimPrefix(h.Name, "./"), "boot/") {
			if err = w.WriteHeader(h); err == nil {
				_, err = io.Copy(w, r)
			}
		}
		if err != nil {
			b.Fatal(err)
		}
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
	var made struct {
		Entries int `json:"entries"`
	}
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
