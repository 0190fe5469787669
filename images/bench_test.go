package images

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// benchEnv names the tarball of a root filesystem that benchmarks use.
const benchEnv = "CLOUDLETS_BENCH_ROOT"

// benchTrees are the directories that are read: a root filesystem, and
// 100,000 small files.
var benchTrees = []struct {
	name string
	make func(b *testing.B, dir string)
}{
	{"root", benchRoot},
	{"100k", benchSmallFiles},
}

func benchRoot(b *testing.B, dir string) {
	name := os.Getenv(benchEnv)
	if name == "" {
		b.Fatalf("set %s to the tarball of a root filesystem, such as mmdebstrap makes", benchEnv)
	}
	if out, err := exec.Command("tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", dir, "-xf", name).CombinedOutput(); err != nil {
		b.Fatalf("unpack %s: %v\n%s", name, err, out)
	}
}

func benchSmallFiles(b *testing.B, dir string) {
	for i := range 100_000 {
		inner := filepath.Join(dir, fmt.Sprintf("d%02d/e%d", i/1000, i/100%10))
		if i%100 == 0 {
			if err := os.MkdirAll(inner, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(inner, fmt.Sprintf("file-%05d.txt", i)), bytes.Repeat([]byte("text "), i*7%200), 0o644); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTarVsGNUTar writes a directory as a tarball into a pipe, by turns
// with GNU tar and with WriteTar, and reports the seconds of both and their
// ratio: below 1 we are faster. GNU tar is not asked for extended attributes
// and fractions of seconds, which WriteTar does not do without.
func BenchmarkTarVsGNUTar(b *testing.B) {
	versus(b, "tar", func(dir string) *exec.Cmd { return exec.Command("tar", "-C", dir, "-cf", "-", ".") },
		func(d *DirSource, w io.Writer) error { return WriteTar(b.Context(), w, d) })
}

// BenchmarkPathsVsFind lists a directory, by turns with find and with Paths,
// which sorts as well.
func BenchmarkPathsVsFind(b *testing.B) {
	versus(b, "find", func(dir string) *exec.Cmd { return exec.Command("find", dir) },
		func(d *DirSource, w io.Writer) error {
			out := bufio.NewWriterSize(w, 1<<16)
			if err := Paths(b.Context(), d, func(p string) error {
				out.WriteString(p)
				return out.WriteByte('\n')
			}); err != nil {
				return err
			}
			return out.Flush()
		})
}

// versus times a tool and what we have in its place on each tree, both
// writing into a pipe.
func versus(b *testing.B, name string, tool func(dir string) *exec.Cmd, ours func(*DirSource, io.Writer) error) {
	for _, tree := range benchTrees {
		b.Run(tree.name, func(b *testing.B) {
			dir := b.TempDir()
			tree.make(b, dir)
			d, err := NewDirSource(dir)
			if err != nil {
				b.Fatal(err)
			}
			theirs := func(w *os.File) error { cmd := tool(dir); cmd.Stdout = w; return cmd.Run() }
			intoPipe(b, theirs) // so that the directory is in memory for both
			var them, us time.Duration
			for b.Loop() {
				them += intoPipe(b, theirs)
				us += intoPipe(b, func(w *os.File) error { return ours(d, w) })
			}
			b.ReportMetric(them.Seconds()/float64(b.N), name+"-s/op")
			b.ReportMetric(us.Seconds()/float64(b.N), "ours-s/op")
			b.ReportMetric(us.Seconds()/them.Seconds(), "ratio")
		})
	}
}

// intoPipe times f writing to a pipe until all is read at its other end.
func intoPipe(b *testing.B, f func(w *os.File) error) time.Duration {
	b.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	sink := exec.Command("cat")
	sink.Stdin = r
	if err := sink.Start(); err != nil {
		b.Fatal(err)
	}
	r.Close()
	w.Fd() // makes it blocking, as a program's standard output is
	start := time.Now()
	ferr := f(w)
	w.Close()
	if err := sink.Wait(); err != nil || ferr != nil {
		b.Fatal(ferr, err)
	}
	return time.Since(start)
}
