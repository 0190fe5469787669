package tftp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/pin/tftp/v3/netascii"
)

var errSilent = errors.New("the client stopped answering")

// ErrLastAck is the error of a [Transfer] whose client was sent all of a file, and did not
// acknowledge the last block. Firmware may close its socket before it does.
var ErrLastAck = errors.New("the client did not acknowledge the last block, though it may have it")

// readAhead is how much of a file is read at once, in bytes.
const readAhead = 16 << 10

// readers are buffers for files, since each machine that starts fetches a few.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readAhead) }}

// sender sends one file, a window of blocks at a time (RFC 7440). Lock-step,
// which is RFC 1350, is a window of one block.
type sender struct {
	conn    clientConn
	request request
	window  *window
	timeout time.Duration // longest first wait for an acknowledgement
	retries int

	buf       [maxRequest + headerLen]byte
	roundTrip roundTrip
	lost      error // why the latest datagram could not be sent, if so
	// echoes is for how many more windows the client may still answer
	// repeated blocks of earlier ones.
	echoes int
}

const (
	// maxBackoff bounds how much longer than the timeout a wait becomes.
	// Waits must become longer: some clients ignore repeated blocks, restart
	// their own timer at each, and repeat a lost acknowledgement only when
	// that timer fires.
	maxBackoff = 4
	// echoWindows is how long repeated blocks may be answered: in the window
	// that was repeated, and in the one after it.
	echoWindows = 2
)

// send negotiates and sends until the client has acknowledged the last block.
// It returns the bytes that were acknowledged.
func (s *sender) send(file io.Reader, size int64) (int64, error) {
	buffer := readers.Get().(*bufio.Reader)
	buffer.Reset(file)
	defer func() {
		buffer.Reset(nil)
		readers.Put(buffer)
	}()
	file = buffer
	if s.request.netascii {
		file = netascii.ToReader(file)
	}
	s.window = newWindow(file, s.request)
	if oack := s.request.optionAck(size); oack != nil {
		// The client acknowledges the OACK as if it were block 0.
		if _, err := s.deliver([][]byte{oack}, 0); err != nil {
			if e, ok := errors.AsType[*clientError](err); ok && s.request.isProbe(e) {
				err = errProbe
			}
			return 0, err
		}
	}
	return s.sendBlocks()
}

// isProbe says whether the error with which a client answered the OACK means
// that it only wanted the size. EDK2 sends "terminated by user", code 8;
// others send 0.
func (r request) isProbe(e *clientError) bool {
	return r.tsize && (e.code == codeOptions || e.code == codeUndefined)
}

func (s *sender) sendBlocks() (int64, error) {
	w := s.window
	for sent := int64(0); ; {
		w.fill(w.size)
		packets := w.underWay()
		if len(packets) == 0 && w.err != nil {
			return sent, unreadable(fmt.Errorf("read file: %w", w.err))
		} else if len(packets) == 0 {
			return sent, nil
		}
		last := w.ended && len(packets) == len(w.packets)
		n, err := s.deliver(packets, w.first)
		sent += w.drop(n)
		if errors.Is(err, errSilent) && last {
			err = ErrLastAck
		}
		if err != nil {
			return sent, err
		}
	}
}

// deliver sends packets, the first of which has the given block number, and
// repeats them until at least one is acknowledged. It returns how many were.
func (s *sender) deliver(packets [][]byte, first uint16) (int, error) {
	wait := s.roundTrip.timeout(s.timeout)
	for attempt := range s.retries + 1 {
		began := time.Now()
		if err := s.writeAll(packets); err != nil {
			return 0, err
		}
		s.window.fill(2 * s.window.size) // while the client is busy
		n, err := s.await(first, len(packets), wait)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			wait = min(2*wait, maxBackoff*s.timeout)
		} else if err != nil {
			return 0, portClosed(err)
		}
		if n == len(packets) {
			if attempt == 0 { // nobody can tell which repetition an answer is for
				s.roundTrip.observe(time.Since(began))
			}
			s.echoes = max(s.echoes-1, 0)
			return n, nil
		}
		s.echoes = echoWindows
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

// writeAll sends packets. If one cannot be sent, for want of buffers or of a
// route, it counts as lost on the way and will be repeated.
func (s *sender) writeAll(packets [][]byte) error {
	for _, p := range packets {
		if s.lost = s.conn.send(p); errors.Is(s.lost, syscall.ECONNREFUSED) {
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
// how many. With a window that may be 0: the client has seen a gap before the
// first block and asks for the window again.
func (s *sender) await(first uint16, count int, wait time.Duration) (int, error) {
	for deadline := time.Now().Add(wait); ; {
		n, err := s.conn.receive(s.buf[:], wait)
		if err != nil {
			return 0, err
		}
		p := s.buf[:n]
		if opcode(p) == opError {
			return 0, parseError(p)
		}
		if acked, ok := s.acknowledged(p, first, count); ok {
			return acked, nil
		}
		// A client that sends nothing of use must not hold up repetitions.
		if !time.Now().Before(deadline) {
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// acknowledged says how many of count blocks a packet acknowledges, and
// whether it calls for an answer at all.
func (s *sender) acknowledged(p []byte, first uint16, count int) (int, bool) {
	if opcode(p) != opAck || len(p) < headerLen {
		return 0, false
	}
	// Block numbers roll over from 65535 to 0, and so does this difference.
	acked := int(binary.BigEndian.Uint16(p[2:]) - (first - 1))
	if acked > 0 {
		return acked, acked <= count
	}
	// The block before the window is acknowledged again. In lock-step that
	// never calls for an answer: each repetition would cause another one, and
	// all traffic from here to the end would be doubled (RFC 1123 section
	// 4.2.3.1). With a window it means a gap, unless blocks were repeated: then
	// it may be an echo of the repetition.
	return 0, s.request.window > 1 && s.echoes == 0
}

// minTimeout is the shortest wait for an acknowledgement. A client may need
// this long to write a block to its disk.
const minTimeout = 100 * time.Millisecond

// roundTrip estimates how long a client takes to answer (RFC 6298).
type roundTrip struct{ smoothed, deviation time.Duration }

func (r *roundTrip) observe(d time.Duration) {
	if r.smoothed == 0 {
		r.smoothed, r.deviation = d, d/2
		return
	}
	r.deviation += ((r.smoothed - d).Abs() - r.deviation) / 4
	r.smoothed += (d - r.smoothed) / 8
}

// timeout is how long to wait for an answer before repeating: the longest
// while nothing is known yet. It goes in steps of a factor of 2, so that a
// socket's timer is seldom set anew.
func (r *roundTrip) timeout(longest time.Duration) time.Duration {
	if r.smoothed == 0 {
		return longest
	}
	wait := minTimeout
	for wait < r.smoothed+4*r.deviation {
		wait *= 2
	}
	return min(wait, longest)
}

// window holds the DATA packets that are under way and, behind them, those of
// the next window. The last packet of a file is shorter than the others.
type window struct {
	from    io.Reader
	blksize int
	size    int // packets under way at most
	packets [][]byte
	spare   [][]byte // packets to use again
	first   uint16   // block number of packets[0]
	ended   bool     // the last block has been read
	err     error    // why no further block can be read
}

func newWindow(from io.Reader, r request) *window {
	return &window{from: from, blksize: r.blockSize(), size: max(r.window, 1), first: 1}
}

func (w *window) underWay() [][]byte { return w.packets[:min(w.size, len(w.packets))] }

// fill reads blocks until there are n packets, or no further block.
func (w *window) fill(n int) {
	for len(w.packets) < n && !w.ended && w.err == nil {
		p := w.unused()
		length, err := io.ReadFull(w.from, p[headerLen:])
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			w.ended = true
		} else if err != nil {
			w.err = err
			return
		}
		binary.BigEndian.PutUint16(p, opData)
		binary.BigEndian.PutUint16(p[2:], w.first+uint16(len(w.packets)))
		w.packets = append(w.packets, p[:headerLen+length])
	}
}

// unused is a packet to read the next block into.
func (w *window) unused() []byte {
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
	w.first += uint16(n)
	return held
}
