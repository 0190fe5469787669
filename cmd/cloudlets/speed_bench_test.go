package main

import (
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
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	mustRun(b, build)
	return program
}
