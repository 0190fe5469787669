package bed_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"cloudlets/testdata/needs"
)

// nginxEnv names the program nginx. Its Debian package starts a server when it is
// installed, so that `make bench` only unpacks it.
const nginxEnv = "CLOUDLETS_BENCH_NGINX"

const (
	blobSize    = 256 << 20
	smallSize   = 4 << 10
	httpSeconds = 5
)

// webServer is a server that has two files at URLs.
type webServer struct {
	cmd         *exec.Cmd
	blob, small string
}

// BenchmarkHTTP has wrk fetch a blob with 1 and with 8 connections, and a small file
// with 32, from this server and from nginx by turns. Each is in a network namespace
// of its own. It reports both rates, and this server's as a part of nginx's.
func BenchmarkHTTP(b *testing.B) {
	needs.Tool(b, "wrk", "wrk")
	cases := []struct {
		name, rate, unit string
		file             func(webServer) string
		connections      int
	}{
		{"blob/1", "Transfer/sec", "MB/s", func(s webServer) string { return s.blob }, 1},
		{"blob/8", "Transfer/sec", "MB/s", func(s webServer) string { return s.blob }, 8},
		{"small/32", "Requests/sec", "requests/s", func(s webServer) string { return s.small }, 32},
	}
	sums := make([][2]float64, len(cases))
	for b.Loop() {
		for i, serve := range []func(*testing.B, *wire, string) webServer{serveDepot, serveNginx} {
			w := newWire(b)
			s := serve(b, w, b.TempDir())
			for at, c := range cases {
				sums[at][i] += measureHTTP(b, w, c.file(s), c.connections, c.rate)
			}
			s.cmd.Process.Signal(syscall.SIGTERM) // the next server needs the processors
			s.cmd.Wait()
		}
	}
	for at, c := range cases {
		b.ReportMetric(sums[at][0]/float64(b.N), c.name+"-"+c.unit)
		b.ReportMetric(sums[at][1]/float64(b.N), c.name+"-nginx-"+c.unit)
		b.ReportMetric(sums[at][0]/sums[at][1], c.name+"-of-nginx")
	}
	b.ReportMetric(0, "ns/op")
}

// randomFile makes a file and returns its digest in hexadecimal.
func randomFile(b *testing.B, name string, size int) string {
	b.Helper()
	data := make([]byte, size)
	_, _ = rand.Read(data) // it cannot fail
	if err := os.WriteFile(name, data, 0o644); err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// serveDepot serves the files as it serves packs.
func serveDepot(b *testing.B, w *wire, dir string) webServer {
	files := filepath.Join(dir, "state", "depot", "files")
	if err := os.MkdirAll(files, 0o755); err != nil {
		b.Fatal(err)
	}
	var urls []string
	for _, size := range []int{blobSize, smallSize} {
		digest := randomFile(b, filepath.Join(files, "new"), size)
		if err := os.Rename(filepath.Join(files, "new"), filepath.Join(files, digest)); err != nil {
			b.Fatal(err)
		}
		urls = append(urls, "http://10.77.0.1/files/"+digest+"/pack")
	}
	return webServer{serveReserved(b, w, dir, 0), urls[0], urls[1]}
}

func nginxProgram(b *testing.B) string {
	b.Helper()
	nginx := os.Getenv(nginxEnv)
	if nginx == "" {
		b.Fatalf("set %s to the program nginx, of the Debian package nginx", nginxEnv)
	}
	return nginx
}

// serveNginx serves them with nginx, as its documentation advises for static files.
func serveNginx(b *testing.B, w *wire, dir string) webServer {
	nginx := nginxProgram(b)
	randomFile(b, filepath.Join(dir, "blob"), blobSize)
	randomFile(b, filepath.Join(dir, "small"), smallSize)
	config := fmt.Sprintf(`daemon off; user root; worker_processes auto; pid %[1]s/pid; error_log stderr;
events { worker_connections 1024; }
http {
	access_log off; sendfile on; tcp_nopush on; open_file_cache max=100; keepalive_requests 1000000;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server { listen 10.77.0.1:80; root %[1]s; }
}
`, dir)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o644); err != nil {
		b.Fatal(err)
	}
	cmd := w.start(b, filepath.Join(dir, "log"), nginx, "-c", filepath.Join(dir, "nginx.conf"), "-p", dir)
	return webServer{cmd, "http://10.77.0.1/blob", "http://10.77.0.1/small"}
}

// measureHTTP returns what wrk reports: requests, or megabytes, in a second.
func measureHTTP(b *testing.B, w *wire, url string, connections int, line string) float64 {
	b.Helper()
	mustRun(b, "ip", "netns", "exec", w.client, "curl", "-sSf", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", "-o", "/dev/null", url)
	out := mustRun(b, "ip", "netns", "exec", w.client, "wrk", "-t", "1", "-c", strconv.Itoa(connections), "-d", fmt.Sprint(httpSeconds, "s"), "--timeout", "30s", url)
	got := regexp.MustCompile(line + `:\s+([0-9.]+)([KMG]?)B?`).FindStringSubmatch(out)
	if got == nil || strings.Contains(out, "Non-2xx") || strings.Contains(out, "Socket errors") {
		b.Fatalf("wrk says\n%s", out)
	}
	n, err := strconv.ParseFloat(got[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	if line == "Transfer/sec" { // in units of 1024
		n *= map[string]float64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[got[2]] / 1e6
	}
	return n
}
