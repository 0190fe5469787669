package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryHost builds the program for a host of each system besides Linux,
// and has the tests looked at that there are for it.
func TestEveryHost(t *testing.T) {
	if testing.Short() {
		t.Skip("this test builds for three other hosts, which takes minutes: run `make test`")
	}
	for _, host := range []string{"darwin/arm64", "freebsd/amd64", "windows/amd64"} {
		t.Run(host, func(t *testing.T) {
			forHost(t, host, "build", "-o", filepath.Join(t.TempDir(), "cloudlets"), ".")
			forHost(t, host, "vet", ".", "../../images/...")
		})
	}
}

// forHost runs the go tool for a host, as "darwin/arm64".
func forHost(t *testing.T, host string, args ...string) {
	t.Helper()
	system, arch, _ := strings.Cut(host, "/")
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go %s for %s: %v\n%s", args[0], host, err, out)
	}
}
