package authority

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"
)

// maxFile bounds a file with certificates or a key, in bytes.
const maxFile = 1 << 20

// Files is a certificate that somebody else made, in two files in PEM form. It is
// read again when the files change.
type Files struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	was    [2]stamp
}

var _ Source = (*Files)(nil)

// stamp tells whether a file has changed.
type stamp struct {
	modified time.Time
	size     int64
}

// OpenFiles reads a certificate, with all that lead to its authority, and its key.
// The log gets a warning when new files are of no use.
func OpenFiles(cert, key string, log *slog.Logger) (*Files, error) {
	f := &Files{cert: cert, key: key, log: log}
	_, err := f.current()
	return f, err
}

// Certificate implements [Source]. While new files cannot be read, or do not belong
// together, the certificate is the one from before.
func (f *Files) Certificate(netip.Addr, time.Time) (*tls.Certificate, error) {
	c, err := f.current()
	if c != nil {
		return c, nil
	}
	return nil, err
}

func (f *Files) current() (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var now [2]stamp
	for i, name := range []string{f.cert, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return f.loaded, fmt.Errorf("read the certificate of this server: %w", err)
		}
		now[i] = stamp{info.ModTime(), info.Size()}
	}
	if f.loaded != nil && now == f.was {
		return f.loaded, nil
	}
	loaded, err := loadPair(f.cert, f.key)
	f.was = now
	if err != nil {
		err = fmt.Errorf("read the certificate of this server from %s and %s: %w", f.cert, f.key, err)
		if f.loaded != nil {
			f.log.Warn("the certificate stays the one from before: its files have changed, and are of no use", "error", err)
		}
		return f.loaded, err
	}
	f.loaded = loaded
	return loaded, nil
}

func loadPair(cert, key string) (*tls.Certificate, error) {
	certText, err := readFile(cert)
	if err != nil {
		return nil, err
	}
	keyText, err := readFile(key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certText, keyText)
	return &pair, err
}

// ReadCertificate reads the first certificate of a file in PEM form.
func ReadCertificate(name string) (*x509.Certificate, error) {
	text, err := readFile(name)
	if err != nil {
		return nil, fmt.Errorf("read a certificate: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf(`read a certificate from %s: it has none in PEM form, which begins with "-----BEGIN CERTIFICATE-----"`, name)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read a certificate from %s: %w", name, err)
	}
	return c, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	return io.ReadAll(io.LimitReader(f, maxFile))
}
