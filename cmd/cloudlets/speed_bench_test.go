package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkVersus runs the program, start to end, by turns with the tool that
// people would take in its place, each writing into a pipe, and reports the
// seconds of both and their ratio: below 1 we are faster. The trees are a root
// filesystem and 100,000 small files. GNU tar is not asked for extended
// attributes and fractions of seconds, and find does not sort; we do.
func BenchmarkVersus(b *testing.B) {
	root := os.Getenv(benchEnv)
	if root == "" {
		b.Fatalf("set %s to the tarball of a root filesystem, such as mmdebstrap makes", benchEnv)
	}
	dir := b.TempDir()
	program := buildProgram(b, dir)
	debian, many := filepath.Join(dir, "debian"), filepath.Join(dir, "many")
	mustUnpack(b, root, debian)
	makeManyFiles(b, many, 100_000)
	for _, c := range []struct {
		name  string
		tool  []string // before the tree's name
		after []string
		verb  string
	}{
		{"tar", []string{"tar", "-cf", "-", "-C"}, []string{"."}, "tar"},
		{"find", []string{"find"}, nil, "find"},
	} {
		for _, tree := range []string{debian, many} {
			b.Run(c.name+"/"+filepath.Base(tree), func(b *testing.B) {
				theirs := append(append(c.tool[:len(c.tool):len(c.tool)], tree), c.after...)
				intoPipe(b, theirs) // so that the tree is in memory for both
				var them, us time.Duration
				for b.Loop() {
					them += intoPipe(b, theirs)
					us += intoPipe(b, []string{program, c.verb, tree})
				}
				b.ReportMetric(them.Seconds()/float64(b.N), c.name+"-s/op")
				b.ReportMetric(us.Seconds()/float64(b.N), "ours-s/op")
				b.ReportMetric(us.Seconds()/them.Seconds(), "ratio")
			})
		}
	}
}

// BenchmarkRaw makes whole raw disks with the program, start to end: partition
// table, boot loaders, kernels and files. By turns with it, mke2fs makes
// nothing but the filesystem of the same tree, with as much room; "x-mke2fs"
// is our time over its. virt-make-fs, which starts a virtual machine for it,
// does as much once.
func BenchmarkRaw(b *testing.B) {
	root := os.Getenv(benchEnv)
	if root == "" {
		b.Fatalf("set %s to the tarball of a root filesystem, such as mmdebstrap makes", benchEnv)
	}
	dir := b.TempDir()
	program := buildProgram(b, dir)
	debian, many, disk := filepath.Join(dir, "debian"), filepath.Join(dir, "many"), filepath.Join(dir, "disk.img")
	mustUnpack(b, root, debian)
	mustUnpack(b, root, many, "./boot")
	makeManyFiles(b, many, 100_000)
	ours := func(tree string) time.Duration {
		return toDisk(b, disk, program, "raw", tree, disk, "--size", "2GiB", "--env", "hostname=web1", "--env", "mac=52:54:00:00:00:01")
	}
	for _, tree := range []string{debian, many} {
		b.Run(filepath.Base(tree), func(b *testing.B) {
			ours(tree) // so that the tree is in memory for both
			var them, us time.Duration
			for b.Loop() {
				them += toDisk(b, disk, "mke2fs", "-q", "-t", "ext4", "-d", tree, disk, "1800M")
				us += ours(tree)
			}
			b.ReportMetric(us.Seconds()/float64(b.N), "ours-s/op")
			b.ReportMetric(us.Seconds()/them.Seconds(), "x-mke2fs")
		})
	}
	b.Run("virt-make-fs", func(b *testing.B) {
		us := ours(debian)
		them := toDisk(b, disk, "virt-make-fs", "--type=ext4", "--partition=gpt", "--size=2G", debian, disk)
		b.ReportMetric(them.Seconds(), "virt-make-fs-s")
		b.ReportMetric(us.Seconds()/them.Seconds(), "ratio")
	})
}

// toDisk times a command that makes a disk, which goes.
func toDisk(b *testing.B, disk, name string, args ...string) time.Duration {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), name, args...)
	cmd.Env = append(os.Environ(), "LIBGUESTFS_BACKEND=direct") // without a daemon
	if cpu, err := os.ReadFile("/proc/cpuinfo"); err == nil && !bytes.Contains(cpu, []byte(" vmx ")) && !bytes.Contains(cpu, []byte(" svm ")) {
		cmd.Env = append(cmd.Env, "LIBGUESTFS_BACKEND_SETTINGS=force_tcg") // a /dev/kvm alone would have it wait forever
	}
	start := time.Now()
	mustRun(b, cmd)
	took := time.Since(start)
	if err := os.Remove(disk); err != nil {
		b.Fatal(err)
	}
	return took
}

// intoPipe times a command that writes into a pipe, until all is read at its
// other end.
func intoPipe(b *testing.B, command []string) time.Duration {
	b.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	sink := exec.CommandContext(b.Context(), "cat")
	sink.Stdin = r
	if err := sink.Start(); err != nil {
		b.Fatal(err)
	}
	r.Close()
	source := exec.CommandContext(b.Context(), command[0], command[1:]...)
	source.Stdout, source.Stderr = w, os.Stderr
	start := time.Now()
	failed := source.Run()
	w.Close()
	if err := sink.Wait(); err != nil || failed != nil {
		b.Fatalf("%q into cat: %v, %v", command, failed, err)
	}
	return time.Since(start)
}

// buildProgram makes the program as it is released.
func buildProgram(b *testing.B, dir string) string {
	b.Helper()
	program := filepath.Join(dir, "cloudlets")
	build := exec.CommandContext(b.Context(), "go", "run", "./cmd/build", "-o", program)
	build.Dir = "../.."
	mustRun(b, build)
	return program
}
