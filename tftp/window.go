package tftp

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/pin/tftp/v3/netascii"
)

// sendWindowed serves a job with this package's own sender.
func (s *service) sendWindowed(ctx context.Context, j *job) {
	l, err := s.link(ctx, j)
	if err != nil {
		s.finish(j, 0, 0, fmt.Errorf("open a socket for the transfer: %w", err))
		return
	}
	defer l.close()
	f, size, err := s.open(j.name)
	if err != nil {
		sayGoodbye(l, err)
		s.finish(j, 0, 0, err)
		return
	}
	defer f.Close()
	w := &sender{link: l, request: j.request, timeout: s.Timeout, retries: s.Retries}
	sent, err := w.send(ctx, f, size)
	sayGoodbye(l, err)
	s.finish(j, size, sent, err)
}

// sayGoodbye tells the client of an end that it does not know of yet.
func sayGoodbye(l link, err error) {
	if r, ok := errors.AsType[*refusal](err); ok {
		l.write(r.packet())
	} else if errors.Is(err, errStopping) {
		l.write(errorPacket(codeUndefined, errStopping.Error()))
	}
}

// sender sends one file, a window of blocks at a time (RFC 7440). A request
// without a window is one with a window of 1, which is RFC 1350.
type sender struct {
	link    link
	request request
	timeout time.Duration
	retries int

	buf  [maxRequest + headerLen]byte
	lost error // why the latest datagram could not be sent, if so
	// quiet counts the windows to come during which the client may still
	// answer repeated blocks of earlier ones.
	quiet int
}

// maxBackoff bounds how much longer than the timeout a wait becomes. Waits
// must become longer: some clients ignore repeated blocks, start their own
// timer anew at each, and repeat a lost acknowledgement only when it fires.
const maxBackoff = 4

// quietWindows is how long repetitions echo: in the window that was repeated,
// and in the one after it.
const quietWindows = 2

// send negotiates and sends until the client has acknowledged the last block.
// It returns the bytes that were acknowledged.
func (s *sender) send(ctx context.Context, file io.Reader, size int64) (int64, error) {
	if oack := s.request.optionAck(size); oack != nil {
		// The OACK is acknowledged as if it were block 0.
		if _, err := s.deliver(ctx, [][]byte{oack}, 0); err != nil {
			if e, ok := errors.AsType[*clientError](err); ok && s.request.isProbe(e) {
				err = errProbe
			}
			return 0, err
		}
	}
	file = bufio.NewReaderSize(file, readAhead)
	if s.request.netascii {
		file = netascii.ToReader(file)
	}
	return s.sendBlocks(ctx, newWindow(file, s.request))
}

func (s *sender) sendBlocks(ctx context.Context, w *window) (int64, error) {
	var sent int64
	for {
		if err := w.fill(); err != nil {
			return sent, unreadable(fmt.Errorf("read file: %w", err))
		}
		if len(w.packets) == 0 {
			return sent, nil
		}
		n, err := s.deliver(ctx, w.packets, w.first())
		sent += w.drop(n)
		if errors.Is(err, errSilent) && w.ended {
			err = errLastAck
		}
		if err != nil {
			return sent, err
		}
	}
}

// deliver sends packets, the first of which has the given block number, and
// repeats them until at least one is acknowledged. It returns how many were.
func (s *sender) deliver(ctx context.Context, packets [][]byte, first uint16) (int, error) {
	wait := s.timeout
	for range s.retries + 1 {
		if err := s.writeAll(packets); err != nil {
			return 0, err
		}
		n, err := s.await(ctx, first, len(packets), wait)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			wait = min(2*wait, maxBackoff*s.timeout)
		} else if err != nil {
			return 0, portClosed(err)
		}
		if n == len(packets) {
			s.quiet = max(s.quiet-1, 0)
			return n, nil
		}
		s.quiet = quietWindows
		if n > 0 {
			return n, nil
		}
	}
	return 0, s.silence()
}

// silence is the error for a client that has not answered the last packets.
func (s *sender) silence() error {
	if s.lost != nil {
		return fmt.Errorf("%w; the last packet could not be sent: %w", errSilent, s.lost)
	}
	return errSilent
}

// writeAll sends packets. One that cannot be sent, for want of buffers or of
// a route, is like one lost on the way: it will be repeated.
func (s *sender) writeAll(packets [][]byte) error {
	for _, p := range packets {
		if s.lost = s.link.write(p); errors.Is(s.lost, syscall.ECONNREFUSED) {
			return portClosed(s.lost)
		}
	}
	return nil
}

func portClosed(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("the client closed its port in the middle of the transfer: %w", err)
	}
	return err
}

// await waits for an acknowledgement of some of count blocks and returns of
// how many. That may be none: the client has seen a gap before the first
// block, and asks for the window again.
func (s *sender) await(ctx context.Context, first uint16, count int, wait time.Duration) (int, error) {
	deadline := time.Now().Add(wait)
	for {
		n, err := s.link.read(ctx, s.buf[:], deadline)
		if err != nil {
			return 0, err
		}
		p := s.buf[:n]
		if opcode(p) == opError {
			return 0, parseError(p)
		}
		if opcode(p) != opAck || n < headerLen {
			continue
		}
		// Block numbers roll over from 65535 to 0, and so does this.
		acked := int(binary.BigEndian.Uint16(p[2:]) - (first - 1))
		// Where blocks were repeated, a second acknowledgement of the
		// previous window is an echo. To answer echoes with a window each
		// would double the traffic for good (RFC 1123 section 4.2.3.1).
		echo := acked == 0 && s.quiet > 0
		if acked <= count && !echo {
			return acked, nil
		}
	}
}

// window is the part of a file that is under way: DATA packets in order, the
// last of which may be shorter and is then the end of the file.
type window struct {
	from    io.Reader
	blksize int
	size    int // packets at most
	packets [][]byte
	spare   [][]byte // packets to use again
	next    uint16   // number of the block to read
	ended   bool     // the last block has been read
}

func newWindow(from io.Reader, r request) *window {
	return &window{from: from, blksize: r.blockSize(), size: max(r.window, 1), next: 1}
}

// first is the number of the first block under way.
func (w *window) first() uint16 { return w.next - uint16(len(w.packets)) }

// fill reads blocks until the window is full or the file has ended.
func (w *window) fill() error {
	for len(w.packets) < w.size && !w.ended {
		p := w.packet()
		n, err := io.ReadFull(w.from, p[headerLen:])
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			w.ended = true
		} else if err != nil {
			return err
		}
		binary.BigEndian.PutUint16(p, opData)
		binary.BigEndian.PutUint16(p[2:], w.next)
		w.packets = append(w.packets, p[:headerLen+n])
		w.next++
	}
	return nil
}

func (w *window) packet() []byte {
	last := len(w.spare) - 1
	if last < 0 {
		return make([]byte, headerLen+w.blksize)
	}
	p := w.spare[last]
	w.spare = w.spare[:last]
	return p[:headerLen+w.blksize]
}

// drop forgets the first n packets and returns how many bytes of the file
// they held.
func (w *window) drop(n int) int64 {
	var held int64
	for _, p := range w.packets[:n] {
		held += int64(len(p) - headerLen)
	}
	w.spare = append(w.spare, w.packets[:n]...)
	w.packets = slices.Delete(w.packets, 0, n)
	return held
}
