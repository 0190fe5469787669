package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cloudlets/provision/power"
)

// program is a controller that runs a shell script.
func program(t *testing.T, script string) *Controller {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pdu")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return &Controller{Command: []string{path, "a b", "$HOME"}, MAC: "52:54:00:00:00:01", Hostname: "node1"}
}

func makeFIFO(path string) error { return syscall.Mkfifo(path, 0o600) }

// TestEnvironment: the program has its arguments as they are, our variables, and none
// of the server's.
func TestEnvironment(t *testing.T) {
	t.Setenv("BMC_PASSWORD", "hunter2")
	said := filepath.Join(t.TempDir(), "said")
	c := program(t, `{ echo "$1|$2|$PWD"; /usr/bin/env | /usr/bin/grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | /usr/bin/sort; } >`+said)
	if err := c.Do(t.Context(), power.Cycle); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	if want := "a b|$HOME|/\nCLOUDLETS_ACTION=cycle\nCLOUDLETS_HOSTNAME=node1\nCLOUDLETS_MAC=52:54:00:00:00:01\n"; string(got) != want {
		t.Errorf("it got %q, want %q", got, want)
	}
}

// TestStates: what a program prints is the state; an exit code is an error with the last
// line that it said.
func TestStates(t *testing.T) {
	for script, want := range map[string]power.State{"echo ON": power.IsOn, "echo off": power.IsOff, "echo what": power.Unknown, "": power.Unknown} {
		if state, err := program(t, script).State(t.Context()); err != nil || state != want {
			t.Errorf("%q: %s (%v), want %s", script, state, err, want)
		}
	}
	err := program(t, `echo first >&2; printf 'no outlet 7\033[2J\n\n' >&2; exit 3`).Do(t.Context(), power.On)
	if err == nil || !strings.Contains(err.Error(), "exit status 3: no outlet 7") || strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("%v", err)
	}
	if _, err := program(t, `/usr/bin/head -c 1000000 /dev/zero; echo on >&2`).State(t.Context()); err != nil {
		t.Errorf("much output: %v", err)
	}
}

// TestTimeout: a program that takes too long ends, with all that it started.
func TestTimeout(t *testing.T) {
	dir := t.TempDir()
	pipe, ready := filepath.Join(dir, "held"), filepath.Join(dir, "ready")
	c := program(t, `/usr/bin/mkfifo `+ready+`
/bin/sh -c 'exec 3>`+pipe+`; echo >`+ready+`; exec /bin/sleep 1000' &
read -r _ <`+ready+`; echo; /bin/sleep 1000`)
	if err := makeFIFO(pipe); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Do(ctx, power.On) }()
	held, err := os.Open(pipe) // returns when the grandchild holds it
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "took too long") {
		t.Errorf("%v", err)
	}
	if n, err := held.Read(make([]byte, 1)); n != 0 || err == nil { // ends when nobody holds it
		t.Errorf("%d %v", n, err)
	}
}

// TestLeftBehind: what a program leaves in its process group ends with it.
func TestLeftBehind(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "held")
	if err := makeFIFO(pipe); err != nil {
		t.Fatal(err)
	}
	c := program(t, `exec 3>`+pipe+`; /bin/sleep 1000 & exit 0`)
	ended := make(chan error, 1)
	go func() { ended <- c.Do(t.Context(), power.On) }()
	held, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n, err := held.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d %v", n, err)
	}
}
