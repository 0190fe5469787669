//go:build linux

package chroot

import (
	"os"
	"testing"
	"testing/fstest"

	"cloudlets/images/dirtree"
)

// The kernel's descriptions of interpreters that qemu-user-static and Wine
// registered.
const (
	armFormat = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\n" +
		"magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n"
	riscvFormat = "enabled\ninterpreter /usr/bin/qemu-riscv64\nflags: \noffset 0\n" +
		"magic 7f454c460201010000000000000000000200f300\nmask ffffffffffffff00fffffffffffffffffeffffff\n"
	sleepingFormat = "disabled\ninterpreter /usr/bin/qemu-s390x\nflags: F\noffset 0\n" +
		"magic 7f454c4602020100000000000000000000020016\nmask ffffffffffffff00fffffffffffffffffffeffff\n"
	windowsFormat = "enabled\ninterpreter /usr/bin/wine\nflags: F\noffset 0\nmagic 4d5a\n"
)

func TestEmulates(t *testing.T) {
	kernel := fstest.MapFS{
		"status": {Data: []byte("enabled\n")}, "register": {Mode: 0o200},
		"qemu-aarch64": {Data: []byte(armFormat)}, "qemu-riscv64": {Data: []byte(riscvFormat)},
		"qemu-s390x": {Data: []byte(sleepingFormat)}, "wine": {Data: []byte(windowsFormat)},
	}
	root := t.TempDir()
	without, err := dirtree.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	for arch, want := range map[string]bool{"arm64": true, "riscv64": false, "s390x": false, "ppc64le": false, "": false} {
		if got := emulates(kernel, without, arch); got != want {
			t.Errorf("emulates %s: %v, want %v", arch, got, want)
		}
	}
	write(t, root+"/usr/bin/qemu-riscv64", "", 0o755)
	if !emulates(kernel, without, "riscv64") {
		t.Error("the interpreter is in the image, and does not count")
	}
	if emulates(os.DirFS("/no/such/place"), without, "arm64") {
		t.Error("a kernel without binfmt_misc emulates")
	}
}

func TestHost(t *testing.T) {
	h, err := Host(nil)
	if err != nil || h.Arch == "" || h.Kernel+"\n" != read(t, "/proc/sys/kernel/osrelease") {
		t.Errorf("%+v, %v", h, err)
	}
}
