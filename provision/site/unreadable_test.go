//go:build linux

package site

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cloudlets/testdata/needs"
)

// TestAFileThatCouldNotBeRead is read again, although nothing has changed in it.
func TestAFileThatCouldNotBeRead(t *testing.T) {
	needs.Root(t) // to be somebody else for a moment
	const one, two = "52:54:00:00:00:01", "52:54:00:00:00:02"
	dir := t.TempDir()
	for name, text := range map[string]string{
		"machines/" + one + ".json": `{"hostname": "one"}`, "machines/" + two + ".json": `{"extends": "p"}`, "profiles/p.json": `{"cmdline": "p"}`,
	} {
		full := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for up := dir; up != os.TempDir(); up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	// An hour later, so that the state of the files on the disk is trusted.
	s := &Site{dir: dir, log: slog.New(slog.DiscardHandler), view: &view{}, clock: func() time.Time { return time.Now().Add(time.Hour) }}
	err := syscall.Seteuid(65534)
	if err == nil {
		s.Reload()
	}
	if back := syscall.Seteuid(0); back != nil || err != nil {
		t.Fatal(back, err)
	}
	if len(s.Problems()) == 0 {
		t.Fatal("all files could be read")
	}
	s.Reload()
	if p := s.Problems(); len(p) > 0 {
		t.Errorf("still wrong: %v", p)
	}
	first, _ := s.Spec(one)
	second, _ := s.Spec(two)
	if first.Hostname != "one" || second.Cmdline != "p" {
		t.Error("the files are not read again")
	}
}
