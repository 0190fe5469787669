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

// TestBuild: the program carries the one for machines, it and the other tell the same
// version, and a second build has the same bytes.
func TestBuild(t *testing.T) {
	t.Chdir("../..")
	dir := t.TempDir()
	build := func(name string, args ...string) []byte {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := run(t.Context(), append([]string{"-version", "v7.8-test", "-o", file}, args...), t.Output()); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	agent, whole := build("agent", "-agent"), build("cloudlets")
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
	if !bytes.Equal(whole, build("again")) {
		t.Error("a second build has other bytes")
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
