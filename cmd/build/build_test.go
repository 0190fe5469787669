package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// build builds a program from the root of the module, and returns its bytes.
func build(t *testing.T, file string, args ...string) []byte {
	t.Helper()
	if err := run(t.Context(), append([]string{"-version", "v7.8-test", "-o", file}, args...), t.Output()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBuild: the program carries the one for machines, which has the same bytes whenever
// it is built, and both tell the same version.
func TestBuild(t *testing.T) {
	t.Chdir("../..")
	dir := t.TempDir()
	agent, whole := build(t, filepath.Join(dir, "agent"), "-agent"), build(t, filepath.Join(dir, "cloudlets"))
	if 2*len(agent) > len(whole) {
		t.Errorf("the program for machines has %d bytes, and the whole one %d", len(agent), len(whole))
	}
	packed := filepath.Join(dir, "agent.zst")
	if err := compress(filepath.Join(dir, "agent"), packed); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(packed); err != nil || !bytes.Contains(whole, b) {
		t.Errorf("the program does not carry that for %s machines, %v", runtime.GOARCH, err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "cloudlets"), "--version").Output()
	if err != nil || !strings.Contains(string(out), "v7.8-test") {
		t.Errorf("the version is %q, %v", out, err)
	}
	// No kernel started it, so it does nothing.
	out, err = exec.CommandContext(t.Context(), filepath.Join(dir, "agent")).CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), "cloudlets v7.8-test as machines run it") {
		t.Errorf("the program for machines says %q, %v", out, err)
	}
}
