package ramdisk

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"

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
		found, err := programs.Find(arch)
		if reason == "" && (err != nil || found.Name != want) {
			t.Errorf("for %s: %s, %v; want %s", arch, found.Name, err, want)
		}
		if reason != "" && (err == nil || !strings.Contains(err.Error(), reason)) {
			t.Errorf("for %s: %s, %v; want an error with %q", arch, found.Name, err, reason)
		}
	}

	find(runtime.GOARCH, self, "")
	find(foreign(), "", "run a cloudlets of `make build-all`, which carries it; or build ./cmd/agent with GOOS=linux GOARCH="+foreign())
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

// TestCarriedPrograms: machines get the program that this one carries, unless the folder
// has one, and never this one itself or one beside it, which are larger.
func TestCarriedPrograms(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	put := func(file string, content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const revision = "1111111111111111"
	self := filepath.Join(bin, "cloudlets")
	put(self, imagetest.GoProgram(runtime.GOARCH, revision))
	put(filepath.Join(bin, "cloudlets-linux-"+foreign()), imagetest.GoProgram(foreign(), revision))
	carry := func(content []byte) *fstest.MapFile {
		t.Helper()
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		return &fstest.MapFile{Data: w.EncodeAll(content, nil)}
	}
	small := map[string][]byte{}
	files := fstest.MapFS{}
	for _, arch := range []string{runtime.GOARCH, foreign()} {
		small[arch] = append(imagetest.GoProgram(arch, revision), "the small one"...)
		files["agent-"+arch+".zst"] = carry(small[arch])
	}
	programs := Programs{Dir: dir, Self: self, Embedded: Embedded{Files: files, Revision: revision}}
	for arch, want := range small {
		if !programs.Embedded.Has(arch) {
			t.Errorf("no program for %s is carried", arch)
		}
		found, err := programs.Find(arch)
		if err != nil || found.Name != "carried by this program" || found.Size != int64(len(want)) {
			t.Fatalf("for %s: %+v, %v", arch, found, err)
		}
		r, err := found.Open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("for %s: %.40q, %v", arch, got, err)
		}
	}
	if programs.Embedded.Has("riscv64") || (Embedded{}).Has(runtime.GOARCH) {
		t.Error("what is not carried is there")
	}

	for _, c := range []struct {
		program []byte
		reason  string
	}{
		{imagetest.GoProgram(foreign(), "2222222222222222"), "was built from revision 222222222222, and this one from 111111111111"},
		{imagetest.GoProgram(runtime.GOARCH, revision), "it is not a Linux program for them"},
		{nil, "it is not a Linux program for them"},
	} {
		files["agent-"+foreign()+".zst"] = carry(c.program)
		if found, err := programs.Find(foreign()); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s, %v; want an error with %q", found.Name, err, c.reason)
		}
	}
	files["agent-"+foreign()+".zst"] = &fstest.MapFile{Data: []byte("not compressed")}
	if found, err := programs.Find(foreign()); err == nil {
		t.Errorf("garbage is %s", found.Name)
	}

	given := filepath.Join(dir, "cloudlets-"+foreign())
	put(given, imagetest.GoProgram(foreign(), revision))
	if found, err := programs.Find(foreign()); err != nil || found.Name != given {
		t.Errorf("%s, %v; want the one in the folder", found.Name, err)
	}
}
