//go:build linux

package worktree

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cloudlets/images/vcs"
)

// benchRoot is the environment variable with the path of the tarball of a
// Debian root filesystem.
const benchRoot = "CLOUDLETS_BENCH_ROOT"

// BenchmarkGit compares commit, checkout and status with those of plain git,
// which works on a copy of the same tree right before. The first status after a
// checkout reads the files that were written in the same second as the index; the
// second one ("again") reads none. The metrics are ratios: the
// time of our whole run, including the metadata, divided by the time of git.
func BenchmarkGit(b *testing.B) {
	needTool(b, vcs.Git)
	// The tests' configuration has git convert the ends of all lines, which takes it much
	// longer.
	home := b.TempDir()
	must(b, os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[user]\n\tname = Test\n\temail = test@example.net\n[init]\n\tdefaultBranch = main\n"), 0o644))
	b.Setenv("HOME", home)
	b.Run("debian", func(b *testing.B) {
		tarball := os.Getenv(benchRoot)
		if tarball == "" {
			b.Fatalf("%s names no tarball of a Debian root: see the Makefile's bench", benchRoot)
		}
		compare(b, func(dir string) {
			plain(b, dir, "tar", "-xpf", tarball, "--xattrs", "--numeric-owner")
		})
	})
	b.Run("100k", func(b *testing.B) { compare(b, func(dir string) { manyFiles(b, dir, 100_000) }) })
}

// manyFiles makes small files, a hundred in each directory. One in ten has
// another owner.
func manyFiles(b *testing.B, dir string, n int) {
	b.Helper()
	for i := range n {
		folder := filepath.Join(dir, fmt.Sprintf("%03d", i/10_000), fmt.Sprintf("%03d", i/100%100))
		if i%100 == 0 {
			must(b, os.MkdirAll(folder, 0o755))
		}
		name := filepath.Join(folder, fmt.Sprintf("file-%d", i))
		must(b, os.WriteFile(name, fmt.Appendf(nil, "the content of file %d\n", i), 0o644))
		if i%10 == 0 {
			must(b, os.Chown(name, 1000+i%7, 1000))
		}
	}
}

// plain runs a program in a directory.
func plain(b testing.TB, dir string, args ...string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v: %s", args, err, out)
	}
}

// measure returns how long something takes. It first waits until earlier writes
// are on the disk.
func measure(b *testing.B, do func()) time.Duration {
	b.Helper()
	plain(b, "/", "sync")
	start := time.Now()
	do()
	return time.Since(start)
}

func compare(b *testing.B, fill func(dir string)) {
	var theirs, ours [4]time.Duration // commit, checkout, status, and status again
	for b.Loop() {
		dir := b.TempDir()
		one, other := filepath.Join(dir, "plain"), filepath.Join(dir, "image")
		for _, d := range []string{one, other} {
			must(b, os.Mkdir(d, 0o755))
			fill(d)
		}
		plain(b, one, "git", "init", "-q")
		theirs[0] += measure(b, func() { plain(b, one, "git", "add", "-A"); plain(b, one, "git", "commit", "-q", "-m", "x") })
		theirs[1] += measure(b, func() { plain(b, dir, "git", "clone", "-q", one, one+"-copy") })
		for i := range 2 {
			theirs[2+i] += measure(b, func() { plain(b, one+"-copy", "git", "status") })
		}
		run(b, vcs.Git, other, "init", "-q")
		ours[0] += measure(b, func() { run(b, vcs.Git, other, "add", "-A"); run(b, vcs.Git, other, "commit", "-q", "-m", "x") })
		ours[1] += measure(b, func() { run(b, vcs.Git, other+"-copy", "clone", "-q", other) })
		for i := range 2 {
			ours[2+i] += measure(b, func() { run(b, vcs.Git, other+"-copy", "status") })
		}
		must(b, os.RemoveAll(dir))
	}
	for i, name := range []string{"commit", "checkout", "status", "again"} {
		b.ReportMetric(ours[i].Seconds()/float64(b.N), name+"-s")
		b.ReportMetric(ours[i].Seconds()/theirs[i].Seconds(), name+"-x")
	}
}
