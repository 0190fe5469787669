package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// build builds a program from the root of the module, and returns its bytes.
func build(t *testing.T, file string, args ...string) []byte {
	t.Helper()
	if err := run(t.Context(), append([]string{"-o", file}, args...), t.Output()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBuild: the program carries the one for machines, which has the same bytes whenever
// it is built, and both tell the version that git does. So they are what `make build` has
// made, and the compiler does little.
func TestBuild(t *testing.T) {
	t.Chdir("../..")
	dir := t.TempDir()
	agent, whole := build(t, filepath.Join(dir, "agent"), "-agent"), build(t, filepath.Join(dir, "cloudlets"))
	if 2*len(agent) > len(whole) {
		t.Errorf("the program for machines has %d bytes, and the whole one %d", len(agent), len(whole))
	}
	if !carries(t, whole, agent) {
		t.Errorf("the program does not carry that for %s machines", runtime.GOARCH)
	}
	version := describe(t.Context())
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "cloudlets"), "--version").Output()
	if err != nil || !strings.Contains(string(out), version) {
		t.Errorf("the version is %q, %v; want %s", out, err, version)
	}
	wantAgent(t, filepath.Join(dir, "agent"), version)
}

// TestVersion: a person may give another version than git.
func TestVersion(t *testing.T) {
	t.Chdir("../..")
	file := filepath.Join(t.TempDir(), "agent")
	build(t, file, "-agent", "-version", "v7.8-test")
	wantAgent(t, file, "v7.8-test")
}

// wantAgent starts the program for machines. No kernel does, so it only tells what it is.
func wantAgent(t *testing.T, file, version string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), file).CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), "cloudlets "+version+" as machines run it") {
		t.Errorf("the program for machines says %q, %v; want the version %s", out, err, version)
	}
}

// carries says whether a program has another one in it, in Zstandard's format.
func carries(t *testing.T, whole, other []byte) bool {
	t.Helper()
	begin := []byte{0x28, 0xb5, 0x2f, 0xfd} // RFC 8878, 3.1.1
	got := make([]byte, len(other))
	for at := bytes.Index(whole, begin); at >= 0; {
		r, err := zstd.NewReader(bytes.NewReader(whole[at:]), zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadFull(r, got)
		r.Close()
		if err == nil && bytes.Equal(got, other) {
			return true
		}
		next := bytes.Index(whole[at+1:], begin)
		if next < 0 {
			return false
		}
		at += 1 + next
	}
	return false
}
