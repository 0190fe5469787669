package signing

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// ReadKey reads a private key and its certificate from two files in PEM form. See
// [NewKey] for what they must be.
func ReadKey(keyFile, certificateFile string, now time.Time) (*Key, error) {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("read the key for Secure Boot: %w", err)
	}
	certificate, err := os.ReadFile(certificateFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate for Secure Boot: %w", err)
	}
	return NewKey(key, certificate, now)
}

// tooOpen are the permissions that the file of a private key must not give: to
// write it to its group, and anything to others. A group may read it, since Debian
// has one for keys, "ssl-cert".
const tooOpen fs.FileMode = 0o027

// CheckPrivate returns an error if others than the owner and the group of a private
// key's file can read it, or others than its owner can write it.
func CheckPrivate(keyFile string) error {
	info, err := os.Stat(keyFile)
	if err != nil {
		return fmt.Errorf("read the key for Secure Boot: %w", err)
	}
	if mode := info.Mode().Perm(); mode&tooOpen != 0 {
		return fmt.Errorf("read the key for Secure Boot: %w", &fs.PathError{Op: "check", Path: keyFile, Err: errors.New(
			"its mode is " + mode.String() + ", so that others can use the key: run `chmod 600 " + keyFile + "`, and think about a new key")})
	}
	return nil
}

// Fingerprint is the SHA-256 digest of the certificate, in hexadecimal.
func (k *Key) Fingerprint() string {
	sum := sha256.Sum256(k.certificate.Raw)
	return hex.EncodeToString(sum[:])
}
