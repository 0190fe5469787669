// Package needs says what a test cannot do without: root's rights, a foreign
// tool, a file of a Debian package.
//
// The rule is the same everywhere. Without -short, a missing thing fails the
// test, so that `make test` never passes because something was left out. With
// -short, the test is skipped with a sentence that names what is missing, so
// that `go test -short ./...` is of use on any computer.
package needs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Root ends the test unless root runs it, which making namespaces, devices and
// mounts takes.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, testing.Short(), "this test makes namespaces, devices or mounts: run it as root, or run `make test`")
	}
}

// Tool is the path of a foreign program. It is looked for in $PATH, and then
// where programs for root are, which an ordinary user's $PATH leaves out. The
// Debian package that has the program is named when it is missing.
func Tool(t testing.TB, name, debianPackage string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	missing(t, testing.Short(), fmt.Sprintf("this test needs the program %s: install the Debian package %s, or run `make test`", name, debianPackage))
	return ""
}

// File ends the test unless a file or folder is there that a Debian package
// brings.
func File(t testing.TB, path, debianPackage string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		missing(t, testing.Short(), fmt.Sprintf("this test needs %s: install the Debian package %s, or run `make test`", path, debianPackage))
	}
}

// Made is the first file that matches a pattern of [filepath.Glob], which a
// target of the Makefile makes.
func Made(t testing.TB, pattern, target string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		missing(t, testing.Short(), fmt.Sprintf("this test needs %s: `make %s` makes it", pattern, target))
		return ""
	}
	return found[0]
}

// Module is the path of the folder with go.mod, in or above the one that a test runs in.
// The compiler may leave the paths of source files out of a program (-trimpath), so
// [runtime.Caller] does not tell.
func Module(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("find the folder with go.mod: %v", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at
		}
		if at == filepath.Dir(at) {
			t.Fatalf("no folder from %s up has go.mod: run the test in the module's source", dir)
		}
	}
}

func missing(t testing.TB, short bool, sentence string) {
	t.Helper()
	if short {
		t.Skip(sentence)
	}
	t.Fatal(sentence)
}
