package signing

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/images/imagetest"
)

// TestKeyFiles: a private key that others can read is refused, and so is one that
// does not exist.
func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "db.key"), filepath.Join(dir, "db.pem")
	keyPEM, certPEM := imagetest.SigningPair(t, time.Now().Add(time.Hour))
	write(t, key, keyPEM)
	write(t, cert, certPEM)
	if k, err := ReadKey(key, cert, time.Now()); err != nil || k.Name() != "the owner" || len(k.Fingerprint()) != 64 {
		t.Errorf("key %+v, error %v", k, err)
	}
	for mode, good := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: true, 0o644: false, 0o660: false, 0o604: false, 0o601: false} {
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
		err := CheckPrivate(key)
		if good && err != nil || !good && (err == nil || !strings.Contains(err.Error(), "chmod 600 "+key)) {
			t.Errorf("mode %s: %v", mode, err)
		}
	}
	missing := filepath.Join(dir, "missing")
	if err := CheckPrivate(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("a key that is missing: %v", err)
	}
	for _, files := range [][2]string{{missing, cert}, {key, missing}} {
		if _, err := ReadKey(files[0], files[1], time.Now()); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("read %s: %v", files, err)
		}
	}
}
