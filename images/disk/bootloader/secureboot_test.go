package bootloader

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/uki"
	"cloudlets/images/disk/uki/signing"
	"cloudlets/images/imagetest"
)

// testMenu is a menu of one kernel, which is none.
func testMenu() Menu {
	return Menu{Timeout: time.Second, Entries: []Entry{{
		ID: "debian", Title: "It's Debian", Version: "6.1.0-18-amd64", Cmdline: `root=PARTUUID=1 x="a b" quiet`,
		Kernel: Payload(uki.Bytes([]byte("kernel"))), Initrd: Payload(uki.Bytes([]byte("initrd"))),
	}}}
}

func wantError(t testing.TB, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("got error %v, want one that says %q", err, says)
	}
}

// TestShimIsWhereFirmwareLooks names each file of the chain where the one
// before it looks.
func TestShimIsWhereFirmwareLooks(t *testing.T) {
	for arch, want := range map[Arch][]string{
		AMD64: {"EFI/BOOT/BOOTX64.EFI=shimx64.efi.signed", "EFI/BOOT/grubx64.efi=grubx64.efi.signed", "EFI/BOOT/mmx64.efi=mmx64.efi.signed"},
		ARM64: {"EFI/BOOT/BOOTAA64.EFI=shimaa64.efi.signed", "EFI/BOOT/grubaa64.efi=grubaa64.efi.signed", "EFI/BOOT/mmaa64.efi=mmaa64.efi.signed"},
	} {
		loaders := Files{}
		for _, name := range (SecureBoot{Shim: true}).LoaderNames(arch) {
			loaders[name] = []byte(name)
		}
		files, err := shimFiles(arch, testMenu(), loaders)
		if err != nil {
			t.Fatal(err)
		}
		got := contents(t, files)
		for _, w := range want {
			path, content, _ := strings.Cut(w, "=")
			if got[path] != content {
				t.Errorf("%s: %s is %q, want %q", arch, path, got[path], content)
			}
		}
		if menu := got["EFI/debian/grub.cfg"]; !strings.Contains(menu, "linux /") {
			t.Errorf("%s: GRUB's menu is %q", arch, menu)
		}
		if _, bios := got["grub/grub.cfg"]; bios != (arch == AMD64) {
			t.Errorf("%s: a menu for BIOS: %v", arch, bios)
		}
	}
}

// TestMissingLoadersOfSecureBoot names what to install.
func TestMissingLoadersOfSecureBoot(t *testing.T) {
	_, err := Assets{Dir: t.TempDir(), Host: os.DirFS(t.TempDir())}.LoadNamed(context.Background(), SecureBoot{Shim: true}.LoaderNames(AMD64)...)
	for _, pkg := range []string{"grub-pc-bin", "shim-signed", "grub-efi-amd64-signed", "shim-helpers-amd64-signed"} {
		if err == nil || !strings.Contains(err.Error(), pkg) {
			t.Errorf("%v does not name %s", err, pkg)
		}
	}
	if names := (SecureBoot{Signer: new(signing.Key)}).LoaderNames(ARM64); !slices.Equal(names, []string{SystemdARM64, StubARM64}) {
		t.Errorf("for the owner's key on arm64: %v", names)
	}
}

// TestSignaturesAreEnough: with the signatures and without the key, a disk gets the
// same programs. If a word of a kernel's command line is another one, none of the
// signatures is for it.
func TestSignaturesAreEnough(t *testing.T) {
	loaders, err := Assets{}.LoadNamed(t.Context(), SecureBoot{Signer: uki.Signatures{}}.LoaderNames(AMD64)...)
	if err != nil {
		t.Fatal(err)
	}
	m := testMenu()
	for i := range m.Entries {
		m.Entries[i].Kernel = Payload(uki.Bytes(loaders[SystemdAMD64]))
	}
	key := newOwner(t)
	signatures, err := Signatures(t.Context(), key, AMD64, m, loaders)
	if err != nil {
		t.Fatal(err)
	}
	want, err := SecureBoot{Signer: key}.ESPFiles(t.Context(), AMD64, m, loaders)
	if err != nil {
		t.Fatal(err)
	}
	got, err := SecureBoot{Signer: signatures}.ESPFiles(t.Context(), AMD64, m, loaders)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(contents(t, got), contents(t, want)) {
		t.Error("the programs differ from those that the key signs")
	}
	m.Entries[0].Cmdline += " init=/bin/sh"
	if _, err := (SecureBoot{Signer: signatures}).ESPFiles(t.Context(), AMD64, m, loaders); err == nil || !strings.Contains(err.Error(), "signed with other content") {
		t.Errorf("with another command line: %v", err)
	}
}

// newOwner makes a key of a machines' owner.
func newOwner(t *testing.T) *signing.Key {
	t.Helper()
	private, certificate := imagetest.SigningPair(t, time.Now().Add(time.Hour))
	key, err := signing.NewKey(private, certificate, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func contents(t *testing.T, files []fat.File) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, f := range files {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, r); err != nil {
			t.Fatal(err)
		}
		r.Close()
		got[f.Path] = b.String()
	}
	return got
}

func TestARM64HasNoBIOS(t *testing.T) {
	files, err := systemdFiles(ARM64, testMenu(), Files{SystemdARM64: []byte("efi")})
	if err != nil {
		t.Fatal(err)
	}
	if files[0].Path != "EFI/BOOT/BOOTAA64.EFI" || hasPath(files, "grub/grub.cfg") {
		t.Errorf("the files are %v", files)
	}
}

func hasPath(files []fat.File, path string) bool {
	for _, f := range files {
		if f.Path == path {
			return true
		}
	}
	return false
}
