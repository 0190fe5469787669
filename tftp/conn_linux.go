package tftp

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

var _ clientConn = (*blockingPort)(nil)

// blockingPort is a download's own socket, in blocking mode, for lock-step.
// There the time of a block is the time between two system calls, and Go's
// poller would put two more of them, and a change of threads, in between. In
// return a waiting download costs a thread, and admission bounds their number.
// With windows the poller is as fast or faster.
//
// If the client answers within pollTime, the next answer is asked for without
// sleeping: on a fast network, waking a thread takes longer than the answer.
type blockingPort struct {
	ctx    context.Context
	socket *net.UDPConn
	fd     int           // of socket
	wait   time.Duration // as it is set in the kernel
	stop   func() bool
	// polls counts the ports of the server that poll now.
	polls *atomic.Int32
	quick bool // the latest answer came within pollTime
}

// pollTime is how long an answer is polled for.
const pollTime = 50 * time.Microsecond

// maxPolls is how many ports may poll at once: half of the processors are left
// to everything else.
func maxPolls() int32 { return int32(max(1, runtime.GOMAXPROCS(0)/2)) }

// newLockstepPort takes the socket over. A datagram that cannot leave within
// sendLimit counts as lost. polls is the same for all ports of a server.
func newLockstepPort(ctx context.Context, socket *net.UDPConn, sendLimit time.Duration, polls *atomic.Int32) (clientConn, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	o := &blockingPort{ctx: ctx, socket: socket, polls: polls, quick: true}
	err = control(raw, func(fd int) error {
		o.fd = fd
		limit := unix.NsecToTimeval(sendLimit.Nanoseconds())
		return errors.Join(unix.SetNonblock(fd, false), unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit))
	})
	if err != nil {
		return nil, err
	}
	// A shutdown wakes the read that waits, and ends all later ones at once.
	o.stop = context.AfterFunc(ctx, func() {
		_ = control(raw, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RD) }) // fails once the download is over
	})
	return o, nil
}

// control has f use the descriptor of a socket that cannot be closed
// meanwhile.
func control(raw interface{ Control(func(uintptr)) error }, f func(fd int) error) error {
	var inner error
	err := raw.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}

func (o *blockingPort) send(p []byte) error {
	for {
		_, err := unix.Write(o.fd, p)
		if err != unix.EINTR {
			return os.NewSyscallError("write", err)
		}
	}
}

func (o *blockingPort) receive(p []byte, wait time.Duration) (int, error) {
	if wait != o.wait {
		limit := unix.NsecToTimeval(max(wait, time.Microsecond).Nanoseconds()) // 0 would be for ever
		if err := unix.SetsockoptTimeval(o.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
			return 0, os.NewSyscallError("setsockopt", err)
		}
		o.wait = wait
	}
	began := time.Now()
	if o.quick {
		if n, err := o.poll(p, began); n > 0 || err != nil {
			return n, os.NewSyscallError("recvfrom", err)
		}
	}
	for {
		n, err := unix.Read(o.fd, p)
		o.quick = time.Since(began) < pollTime
		switch {
		case o.ctx.Err() != nil:
			return 0, errStopping
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return 0, os.ErrDeadlineExceeded
		default:
			return n, os.NewSyscallError("read", err)
		}
	}
}

// poll asks for a datagram again and again for pollTime, and returns its size. It
// returns 0 if none came, or if too many ports poll already.
func (o *blockingPort) poll(p []byte, began time.Time) (int, error) {
	defer o.polls.Add(-1)
	if o.polls.Add(1) > maxPolls() {
		return 0, nil
	}
	for {
		n, err := receiveNow(o.fd, p)
		switch {
		case err == 0:
			return n, nil // 0 at the end of the server, which the read that follows sees
		case err != unix.EAGAIN && err != unix.EINTR:
			return 0, err
		case time.Since(began) >= pollTime:
			return 0, nil
		}
	}
}

// receiveNow reads a datagram of a connected socket if one is there. [unix.Recvfrom]
// would allocate room for the sender's address, and a poll asks a hundred times.
func receiveNow(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func (o *blockingPort) close() {
	o.stop()
	o.socket.Close()
}

// pathMTU is what the kernel knows of a connected socket's path, in bytes:
// the interface's MTU, or less if ICMP or a route ("mtu 1400") says so.
func pathMTU(socket *net.UDPConn, v6 bool) (mtu int, err error) {
	level, option := unix.IPPROTO_IP, unix.IP_MTU
	if v6 {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = control(raw, func(fd int) (err error) {
		mtu, err = unix.GetsockoptInt(fd, level, option)
		return err
	})
	return mtu, err
}
