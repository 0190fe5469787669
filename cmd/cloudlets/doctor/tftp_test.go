//go:build linux

package doctor

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/fstest"

	"cloudlets/tftp"
)

func TestFetchBootFile(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := conn.LocalAddr().String()
	server := &tftp.Server{Conn: conn, FS: fstest.MapFS{
		"snponly.efi": {Data: make([]byte, 100*firmwareBlock)}, // ends with an empty block
		"empty.efi":   {},
	}}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	for name, want := range map[string]string{
		"snponly.efi": "snponly.efi by TFTP from " + at + ": 146.8 kB in ",
		"empty.efi":   "empty.efi by TFTP from " + at + ": 0 B in ",
	} {
		if got := fetchBootFile(at, name); got.Problem != "" || !strings.HasPrefix(got.What, want) {
			t.Errorf("%s: found %+v, want %q", name, got, want)
		}
	}
	if got := fetchBootFile(at, "absent.efi"); !strings.Contains(got.Problem, "file not found") || !strings.Contains(got.Problem, "cloudlets serve") {
		t.Errorf("a file that the server lacks: found %+v", got)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestFetchFromSilence asks a port that never answers.
func TestFetchFromSilence(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := fetchBootFile(conn.LocalAddr().String(), "snponly.efi"); !strings.Contains(got.Problem, "timeout") || !strings.Contains(got.Problem, "firewall") {
		t.Errorf("found %+v, want the time-out and what to look for", got)
	}
}
