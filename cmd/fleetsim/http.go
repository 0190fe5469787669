//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	dialTimeout = 10 * time.Second
	// silence is how long a connection may be silent before it is given up. iPXE
	// itself has no bound once it is connected.
	silence = 2 * time.Minute
	// maxScript is how many bytes of a script are read.
	maxScript = 64 << 10
)

// get asks for a URL from a machine's own address, and returns the first bytes of
// the answer, at most keep. All others are dropped by the kernel, uncopied, so that
// the simulation of a machine costs less than what it simulates. rate bounds the
// bytes in a second; 0 means no bound.
func get(ctx context.Context, from netip.Addr, rawURL string, keep int, rate int64) (kept []byte, size int64, err error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, 0, err
	}
	dialer := net.Dialer{Timeout: dialTimeout, LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "80")
	}
	conn, err := dialer.DialContext(ctx, "tcp4", host)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(silence)); err != nil {
		return nil, 0, err
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nConnection: keep-alive\r\nUser-Agent: iPXE/1.21.1\r\nHost: %s\r\n\r\n", u.RequestURI(), u.Host); err != nil {
		return nil, 0, err
	}
	r := bufio.NewReaderSize(conn, 4096)
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("get %s: %w", rawURL, err)
	}
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
		return nil, 0, fmt.Errorf("get %s: %s: %s", rawURL, answer.Status, strings.TrimSpace(string(text)))
	}
	if answer.ContentLength < 0 || answer.ContentLength <= int64(keep) {
		kept, err = io.ReadAll(io.LimitReader(answer.Body, int64(keep)))
		return kept, int64(len(kept)), err
	}
	kept = make([]byte, min(int64(keep), answer.ContentLength))
	if _, err := io.ReadFull(answer.Body, kept); err != nil {
		return nil, 0, err
	}
	rest := answer.ContentLength - int64(len(kept)) - int64(r.Buffered())
	err = drop(conn.(*net.TCPConn), rest, rate)
	return kept, answer.ContentLength, err
}

// drop takes bytes off a connection without copying them (tcp(7), MSG_TRUNC).
func drop(conn *net.TCPConn, n, rate int64) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	began, all := time.Now(), n
	piece := make([]byte, 1<<20) // it is not written to
	for n > 0 {
		if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		var got int
		var failure error
		err := raw.Read(func(fd uintptr) bool {
			got, _, failure = unix.Recvfrom(int(fd), piece[:min(n, int64(len(piece)))], unix.MSG_TRUNC)
			return !errors.Is(failure, unix.EAGAIN)
		})
		switch {
		case err != nil:
			return err
		case failure != nil:
			return failure
		case got == 0:
			return io.ErrUnexpectedEOF
		}
		n -= int64(got)
		if rate > 0 {
			due := time.Duration(float64(all-n) / float64(rate) * float64(time.Second))
			time.Sleep(due - time.Since(began))
		}
	}
	return nil
}
