package authority_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloudlets/provision/authority"
	"cloudlets/provision/store"
	"cloudlets/testdata/needs"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// made is the authority of most tests: making one takes a second or two.
var made = sync.OnceValues(func() (*authority.CA, error) {
	return authority.Open(context.Background(), new(store.Memory), 1)
})

func newCA(t *testing.T) *authority.CA {
	t.Helper()
	ca, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func newIssuer(t *testing.T, ca *authority.CA) *authority.Issuer {
	t.Helper()
	issuer, err := ca.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	return issuer
}

// TestOneAuthority: servers that start together on one store have the same
// authority, and a server has it again when it is restarted. Each generation is
// another one.
func TestOneAuthority(t *testing.T) {
	shared := new(store.Memory)
	var all [3]*authority.CA
	var starting sync.WaitGroup
	for i := range all {
		starting.Go(func() {
			var err error
			if all[i], err = authority.Open(t.Context(), shared, 1); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	again, err := authority.Open(t.Context(), shared, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, ca := range all {
		if ca == nil || !ca.Certificate.Equal(again.Certificate) {
			t.Fatal("servers that share a store have several authorities")
		}
	}
	// What one server's certificate proves, a machine that trusts another's CA accepts.
	if err := get(t, serve(t, newIssuer(t, all[0])), &tls.Config{RootCAs: pool(all[2])}); err != nil {
		t.Error(err)
	}
	next, err := authority.Open(t.Context(), shared, 2)
	if err != nil || next.Certificate.Equal(again.Certificate) || next.Certificate.Subject.String() == again.Certificate.Subject.String() {
		t.Errorf("generation 2 is %v, %v", next, err)
	}
}

// TestDamagedAuthority says what to do.
func TestDamagedAuthority(t *testing.T) {
	s := new(store.Memory)
	err := s.Update(t.Context(), func(tx store.Tx) error {
		return store.PutJSON(tx, "authority", "1", map[string][]byte{"certificate": []byte("x"), "key": []byte("y")})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Open(t.Context(), s, 1); err == nil || !strings.Contains(err.Error(), "restore a backup") {
		t.Errorf("got %v", err)
	}
}

func pool(ca *authority.CA) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.Certificate)
	return p
}

// serve answers HTTPS on loopback, and returns the address.
func serve(t *testing.T, source authority.Source) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.TLS.NegotiatedProtocol) }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.Listener = tls.NewListener(server.Listener, authority.ServerConfig(source, time.Now))
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// get connects with a client's configuration.
func get(t *testing.T, address string, config *tls.Config) error {
	t.Helper()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// TestSuites: what firmware can do is served, beside what others do.
func TestSuites(t *testing.T) {
	ca := newCA(t)
	address := serve(t, newIssuer(t, ca))
	for _, c := range []struct {
		what   string
		config *tls.Config
		suite  uint16
		works  bool
	}{
		{"OVMF, AES-128", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, tls.TLS_RSA_WITH_AES_128_GCM_SHA256, true},
		{"OVMF, AES-256", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_256_GCM_SHA384}}, tls.TLS_RSA_WITH_AES_256_GCM_SHA384, true},
		{"TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, true},
		{"TLS 1.3", &tls.Config{MinVersion: tls.VersionTLS13}, tls.TLS_AES_128_GCM_SHA256, true},
		{"CBC", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}, 0, false},
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, 0, false},
	} {
		c.config.RootCAs = pool(ca)
		conn, err := (&tls.Dialer{Config: c.config}).DialContext(t.Context(), "tcp", address)
		if (err == nil) != c.works {
			t.Errorf("%s: %v", c.what, err)
		}
		if err != nil {
			continue
		}
		if got := conn.(*tls.Conn).ConnectionState().CipherSuite; got != c.suite && c.config.MinVersion != tls.VersionTLS13 {
			t.Errorf("%s: the suite is %s", c.what, tls.CipherSuiteName(got))
		}
		conn.Close()
	}
	other, err := authority.Open(t.Context(), new(store.Memory), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := get(t, address, &tls.Config{RootCAs: pool(other)}); err == nil {
		t.Error("a client that trusts another authority accepts this server")
	}
}

// TestManyHandshakes: all of them come to their end, although few use the key at
// once.
func TestManyHandshakes(t *testing.T) {
	ca := newCA(t)
	address := serve(t, newIssuer(t, ca))
	var clients sync.WaitGroup
	for range 24 {
		clients.Go(func() {
			if err := get(t, address, &tls.Config{RootCAs: pool(ca)}); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
}

// TestRenewal: a certificate is made again in time, and after jumps of the clock. It
// is always valid for a machine whose clock is somewhat slow or fast.
func TestRenewal(t *testing.T) {
	const day = 24 * time.Hour
	ca := newCA(t)
	issuer := newIssuer(t, ca)
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	var before *x509.Certificate
	for _, step := range []struct {
		days int // since the start
		new  bool
	}{{0, true}, {1, false}, {59, false}, {61, true}, {62, false}, {500, true}, {500 - 10, false}, {500 - 16, true}, {-900, true}} {
		now := start.Add(time.Duration(step.days) * day)
		made, err := issuer.Certificate(loopback, now)
		if err != nil {
			t.Fatal(err)
		}
		if isNew := before == nil || !made.Leaf.Equal(before); isNew != step.new {
			t.Errorf("on day %d the certificate is new: %t", step.days, isNew)
		}
		before = made.Leaf
		for _, clock := range []time.Time{now.Add(-15 * day), now, now.Add(29 * day)} {
			if _, err := made.Leaf.Verify(x509.VerifyOptions{Roots: pool(ca), CurrentTime: clock, DNSName: "127.0.0.1"}); err != nil {
				t.Errorf("on day %d: %v", step.days, err)
			}
		}
	}
	if _, err := issuer.Certificate(loopback, time.Unix(0, 0)); err == nil || !strings.Contains(err.Error(), "1970-01-01") || !strings.Contains(err.Error(), "set the clock") {
		t.Errorf("with a clock that was reset: %v", err)
	}
	if other, err := issuer.Certificate(netip.MustParseAddr("10.9.8.1"), start); err != nil || other.Leaf.VerifyHostname("10.9.8.1") != nil || other.Leaf.VerifyHostname("127.0.0.1") == nil {
		t.Errorf("the certificate of an address that came later: %v", err)
	}
	if _, err := issuer.Certificate(netip.Addr{}, start); err == nil {
		t.Error("a certificate for no address")
	}
}

// TestSignatureList: the bytes are those of efitools.
func TestSignatureList(t *testing.T) {
	needs.Tool(t, "cert-to-efi-sig-list", "efitools")
	ca := newCA(t)
	dir := t.TempDir()
	from, to := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.esl")
	if err := os.WriteFile(from, authority.PEM(ca.Certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "cert-to-efi-sig-list", "-g", authority.Owner, from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	if got := authority.SignatureList(ca.Certificate); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

// TestFiles serves a certificate that somebody else made, and takes a new one when
// its files change. Files that are of no use change nothing.
func TestFiles(t *testing.T) {
	needs.Tool(t, "openssl", "openssl")
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	renew := func(kind ...string) {
		t.Helper()
		args := append([]string{"req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=own", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert, "-newkey"}, kind...)
		if out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	trusting := func() *tls.Config {
		t.Helper()
		c, err := authority.ReadCertificate(cert)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(c)
		return &tls.Config{RootCAs: roots}
	}
	if _, err := authority.OpenFiles(cert, key, nil); err == nil || !strings.Contains(err.Error(), cert) {
		t.Errorf("without files: %v", err)
	}
	renew("rsa:2048")
	var said bytes.Buffer
	files, err := authority.OpenFiles(cert, key, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, files)
	if err := get(t, address, trusting()); err != nil {
		t.Error(err)
	}
	renew("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	newer := trusting()
	if err := get(t, address, newer); err != nil {
		t.Errorf("after the files were renewed: %v", err)
	}
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := get(t, address, newer); err != nil {
			t.Errorf("after the files were damaged: %v", err)
		}
	}
	if n := strings.Count(said.String(), "of no use"); n != 1 {
		t.Errorf("the log has %d warnings: %s", n, said.String())
	}
	if _, err := authority.ReadCertificate(cert); err == nil || !strings.Contains(err.Error(), "PEM form") {
		t.Errorf("got %v", err)
	}
}

// TestForeignClients: curl and OpenSSL accept a server, for the address that they
// reach it by and for no other.
func TestForeignClients(t *testing.T) {
	needs.Tool(t, "curl", "curl")
	ca := newCA(t)
	address := serve(t, newIssuer(t, ca))
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, authority.PEM(ca.Certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	curl := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "--noproxy", "*", "--cacert", file}, args...)...).CombinedOutput()
		return string(out), err
	}
	for _, args := range [][]string{{"https://" + address}, {"--tls-max", "1.2", "--ciphers", "AES128-GCM-SHA256", "https://" + address}} {
		if out, err := curl(args...); err != nil || out != "http/1.1" {
			t.Errorf("curl %s: %q, %v", args, out, err)
		}
	}
	_, port, _ := net.SplitHostPort(address)
	if out, err := curl("--connect-to", "127.0.0.2:"+port+":"+address, "https://127.0.0.2:"+port); err == nil {
		t.Errorf("curl takes the server for another one: %q", out)
	}
}
