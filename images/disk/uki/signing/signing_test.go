package signing

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/images/disk/uki"
	"cloudlets/images/imagetest"
	"cloudlets/testdata/needs"
)

const (
	stubFile   = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
	loaderFile = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"
)

// TestForeignToolAccepts has sbverify accept signed programs, and refuse them
// after one bit has changed.
func TestForeignToolAccepts(t *testing.T) {
	dir := t.TempDir()
	keyPEM, certPEM := imagetest.SigningPair(t, time.Now().Add(time.Hour))
	cert := filepath.Join(dir, "cert.pem")
	write(t, cert, certPEM)
	key, err := NewKey(keyPEM, certPEM, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	loader := read(t, loaderFile, "systemd-boot-efi")
	unified, err := uki.New(read(t, stubFile, "systemd-boot-efi"), uki.Kernel{Linux: uki.Bytes(loader), Cmdline: "quiet", Title: "Linux", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range map[string]uki.File{"boot loader": uki.Bytes(loader), "unified kernel image": unified, "odd length": uki.Bytes(append(bytes.Clone(loader), 1))} {
		signed, err := key.Sign(t.Context(), program)
		if err != nil {
			t.Fatal(err)
		}
		b := content(t, signed)
		if again, err := key.Sign(t.Context(), program); err != nil || !bytes.Equal(b, content(t, again)) {
			t.Errorf("%s: signed twice it has other bytes, %v", name, err)
		}
		if is, err := uki.Signed(signed); err != nil || !is {
			t.Errorf("%s: it has no signature, %v", name, err)
		}
		if is, err := uki.Signed(program); err != nil || is {
			t.Errorf("%s: it had a signature before, %v", name, err)
		}
		if _, err := key.Sign(t.Context(), signed); err == nil || !strings.Contains(err.Error(), "already signed") {
			t.Errorf("%s: to sign it once more: %v", name, err)
		}
		file := filepath.Join(dir, "program.efi")
		write(t, file, b)
		if out, err := verify(t, cert, file); err != nil {
			t.Errorf("%s: sbverify: %v: %s", name, err, out)
		}
		b[len(loader)/2] ^= 1
		write(t, file, b)
		if out, err := verify(t, cert, file); err == nil {
			t.Errorf("%s: changed, and sbverify says: %s", name, out)
		}
	}
}

func TestInvalidKeys(t *testing.T) {
	key, cert := imagetest.SigningPair(t, time.Now().Add(time.Hour))
	_, other := imagetest.SigningPair(t, time.Now().Add(time.Hour))
	oldKey, old := imagetest.SigningPair(t, time.Now().Add(-time.Minute))
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	short, err := exec.CommandContext(t.Context(), needs.Tool(t, "openssl", "openssl"), "genrsa", "1024").Output()
	if err != nil {
		t.Fatalf("make a short key: %v (Debian package openssl)", err)
	}
	for _, c := range []struct {
		name      string
		key, cert []byte
		want      string
	}{
		{"another's certificate", key, other, "does not belong to the private key"},
		{"expired", oldKey, old, "it expired on"},
		{"exchanged", cert, key, "no private key"},
		{"no certificate", key, key, "no certificate"},
		{"encrypted", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}), cert, "passphrase"},
		{"elliptic", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), cert, "not an RSA key"},
		{"short", short, cert, "at least 2048"},
		{"broken", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1, 2}}), cert, "read the key"},
	} {
		if _, err := NewKey(c.key, c.cert, time.Now()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// FuzzProgram treats arbitrary bytes as a program: nothing panics, and a program
// that could be signed is found to be signed.
func FuzzProgram(f *testing.F) {
	loader, err := os.ReadFile(loaderFile)
	if err != nil {
		f.Fatalf("%v (Debian package systemd-boot-efi)", err)
	}
	stub, err := os.ReadFile(stubFile)
	if err != nil {
		f.Fatalf("%v (Debian package systemd-boot-efi)", err)
	}
	f.Add(loader[:4096])
	f.Add(stub)
	keyPEM, certPEM := imagetest.SigningPair(f, time.Now().Add(time.Hour))
	key, err := NewKey(keyPEM, certPEM, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if signed, err := key.Sign(t.Context(), uki.Bytes(b)); err == nil {
			if is, err := uki.Signed(signed); err != nil || !is {
				t.Errorf("signed, and it has no signature: %v", err)
			}
		}
		if image, err := uki.New(b, uki.Kernel{Linux: uki.Bytes(loader), Version: "1"}); err == nil {
			if n := int64(len(content(t, image))); n != image.Size {
				t.Errorf("it has %d bytes and said %d", n, image.Size)
			}
		}
	})
}

func verify(t *testing.T, cert, file string) ([]byte, error) {
	t.Helper()
	tool := needs.Tool(t, "sbverify", "sbsigntool")
	return exec.CommandContext(t.Context(), tool, "--cert", cert, file).CombinedOutput()
}

func content(t testing.TB, f uki.File) []byte {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(t *testing.T, file, debianPackage string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: install the Debian package %s", err, debianPackage)
	}
	return b
}

func write(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
