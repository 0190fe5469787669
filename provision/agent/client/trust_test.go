package client

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// issued is a certificate with its key.
type issued struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// issue makes a certificate for loopback, valid from a time for a day. Without an
// authority it is one itself.
func issue(t *testing.T, name string, from time.Time, by *issued) issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: from.Add(24 * time.Hour),
		IsCA: by == nil, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if by == nil {
		by = &issued{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Certificate, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issued{c, key}
}

// secure is a server that proves itself with a certificate.
func secure(t *testing.T, c issued) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{c.Raw}, PrivateKey: c.key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// TestWhomTheAgentTrusts: it accepts the servers of one authority, and says of others
// why it refuses them.
func TestWhomTheAgentTrusts(t *testing.T) {
	now := time.Now()
	ours := issue(t, "our site", now.Add(-time.Hour), nil)
	other := issue(t, "another site", now.Add(-time.Hour), nil)
	late := issue(t, "late", now.Add(100*24*time.Hour), &ours)
	early := issue(t, "early", now.Add(-100*24*time.Hour), &ours)
	for _, c := range []struct {
		what  string
		proof issued
		trust *x509.Certificate
		want  []string // in the error; none if the server is accepted
	}{
		{"its own server", issue(t, "server", now.Add(-time.Hour), &ours), ours.Certificate, nil},
		{"another site's server", issue(t, "server", now.Add(-time.Hour), &other), ours.Certificate, []string{`"CN=another site"`, `trusts only "CN=our site"`, "restart the machine"}},
		{"a server, and trusts nobody", issue(t, "server", now.Add(-time.Hour), &ours), nil, []string{"unknown authority"}},
		{"a clock that is slow", late, ours.Certificate, []string{"this machine's clock says " + timeText(now)[:10], "valid from " + timeText(late.NotBefore), "set the clock"}},
		{"a clock that is fast", early, ours.Certificate, []string{"this machine's clock says " + timeText(now)[:10], "until " + timeText(early.NotAfter), "set the clock"}},
	} {
		var log bytes.Buffer
		client, err := NewOf([]string{secure(t, c.proof)}, c.trust, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		client.Patience = time.Nanosecond
		answer, err := client.retry(t.Context(), func() ([]byte, error) { return client.do(t.Context(), http.MethodGet, "/", nil) })
		if len(c.want) == 0 && (err != nil || string(answer) != "hello") {
			t.Errorf("%s: %q, %v", c.what, answer, err)
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: want %q in %v", c.what, want, err)
			}
		}
		client.HTTP.CloseIdleConnections()
	}
}

// TestTrustFile: an agent with https servers reads whom to trust, and others do not
// need the file.
func TestTrustFile(t *testing.T) {
	ours := issue(t, "our site", time.Now(), nil)
	file := filepath.Join(t.TempDir(), "authority.pem")
	secure, plain := []string{"http://10.0.0.1", "https://10.0.0.2"}, []string{"http://10.0.0.1"}
	if trust, err := ReadTrust(file, plain); trust != nil || err != nil {
		t.Errorf("with HTTP alone: %v, %v", trust, err)
	}
	if _, err := ReadTrust(file, secure); err == nil || !strings.Contains(err.Error(), "restart the machine") {
		t.Errorf("without the file: %v", err)
	}
	for text, works := range map[string]bool{
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.Raw})):    true,
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})): false,
		"": false,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if trust, err := ReadTrust(file, secure); works != (err == nil && trust.Equal(ours.Certificate)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
