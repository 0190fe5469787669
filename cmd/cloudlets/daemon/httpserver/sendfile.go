//go:build linux

package httpserver

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// sending bounds how many threads copy files to connections at once: as many as
// there are processors. Without a bound, each of thousands of downloads takes a
// thread of the kernel while it copies, and the few microseconds of work that a
// DHCP packet needs wait for all of them.
var sending = make(chan struct{}, runtime.GOMAXPROCS(0))

// sendFile sends up to n bytes of a file with sendfile(2), from where it stands. A
// connection that takes nothing now does not count as sending.
func sendFile(conn *net.TCPConn, f *os.File, n int64) (sent int64, err error) {
	to, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	from := int(f.Fd())
	for sent < n {
		var once int
		var failure error
		err := to.Write(func(fd uintptr) bool {
			sending <- struct{}{}
			once, failure = unix.Sendfile(int(fd), from, nil, int(n-sent))
			<-sending
			return !errors.Is(failure, syscall.EAGAIN)
		})
		switch {
		case errors.Is(failure, syscall.EINTR):
			continue
		case err != nil:
			return sent, err
		case failure != nil:
			return sent, os.NewSyscallError("sendfile", failure)
		case once == 0:
			return sent, io.EOF
		}
		sent += int64(once)
	}
	return sent, nil
}

// sendWholeFile is sendFile in pieces, each of which has a time of its own. It
// returns nil at the end of the file.
func (c *limitedTCP) sendWholeFile(f *os.File, n int64) (sent int64, err error) {
	for sent < n {
		if err := c.extend(); err != nil {
			return sent, err
		}
		piece, err := sendFile(c.TCPConn, f, min(n-sent, writePiece))
		sent += piece
		if errors.Is(err, io.EOF) {
			return sent, nil
		}
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}
