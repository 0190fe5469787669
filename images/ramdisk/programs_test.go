package ramdisk

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"cloudlets/images/imagetest"
)

// foreign is an architecture that this host does not have.
func foreign() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

func TestProgramsByArchitecture(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	put := func(file string, content []byte) string {
		t.Helper()
		if err := os.WriteFile(file, content, 0o755); err != nil {
			t.Fatal(err)
		}
		return file
	}
	self := put(filepath.Join(bin, "cloudlets"), imagetest.GoProgram(runtime.GOARCH, "1111111111111111"))
	programs := Programs{Dir: dir, Self: self}
	find := func(arch, want, reason string) {
		t.Helper()
		file, err := programs.Find(arch)
		if reason == "" && (err != nil || file != want) {
			t.Errorf("for %s: %s, %v; want %s", arch, file, err, want)
		}
		if reason != "" && (err == nil || !strings.Contains(err.Error(), reason)) {
			t.Errorf("for %s: %s, %v; want an error with %q", arch, file, err, reason)
		}
	}

	find(runtime.GOARCH, self, "")
	find(foreign(), "", "build cloudlets-linux-"+foreign()+" with `make build-all`")
	find("i386", "", "GOARCH=386")
	find("riscv64", "", "name it cloudlets-riscv64")

	// Beside this program, as `make build-all` leaves it, and in the folder, which comes first.
	beside := put(filepath.Join(bin, "cloudlets-linux-"+foreign()), imagetest.GoProgram(foreign(), "1111111111111111"))
	find(foreign(), beside, "")
	if foreign() == "arm64" {
		find("aarch64", beside, "")
	}
	given := put(filepath.Join(dir, "cloudlets-"+foreign()), imagetest.GoProgram(foreign(), "1111111111111111"))
	find(foreign(), given, "")

	put(given, imagetest.GoProgram(foreign(), "2222222222222222"))
	find(foreign(), "", "was built from revision 222222222222, and this program from 111111111111")
	put(given, imagetest.GoProgram(foreign(), ""))
	find(foreign(), given, "") // it does not tell
	put(given, imagetest.GoProgram(runtime.GOARCH, "1111111111111111"))
	find(foreign(), "", "is not a Linux program for "+foreign())
	put(given, []byte("#!/bin/sh\n"))
	find(foreign(), "", "is not a Linux program for "+foreign())
}
