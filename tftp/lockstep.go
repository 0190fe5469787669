package tftp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	pin "github.com/pin/tftp/v3"
)

// readAhead is how much of a file is read at once, in bytes.
const readAhead = 16 << 10

var (
	errSilent   = errors.New("the client stopped answering")
	errLastAck  = errors.New("the client did not acknowledge the last block, though it may have it")
	errStopping = errors.New("server is shutting down")
	errReading  = errors.New("the server cannot read this file")
)

// newLockstep sets the library up: no pause before a repetition, and block
// sizes left to the gate, which has negotiated them by then.
func (s *service) newLockstep(g *gate) *pin.Server {
	l := pin.NewServer(s.sendLockstep, nil)
	l.SetTimeout(s.Timeout)
	l.SetRetries(s.Retries)
	l.SetBackoff(func(int) time.Duration { return 0 })
	l.SetBlockSizeNegotiation(false)
	l.SetHook(hook{g})
	return l
}

// hook hears of requests that the library failed to start. Its other news
// are known already from sendLockstep.
type hook struct{ gate *gate }

func (hook) OnSuccess(pin.TransferStats) {}

func (h hook) OnFailure(t pin.TransferStats, err error) {
	if t.Filename == "" { // no transfer came of it
		h.gate.handBack(fmt.Errorf("start transfer: %w", err))
	}
}

// sendLockstep is the library's handler. The name is the one that the gate
// gave the job, and the error is what the client is told.
func (s *service) sendLockstep(id string, to io.ReaderFrom) error {
	j := s.handed.take(id)
	if j == nil {
		return errStopping
	}
	f, size, err := s.open(j.name)
	if err != nil {
		s.finish(j, 0, 0, err)
		r, _ := errors.AsType[*refusal](err)
		return errors.New(r.text)
	}
	defer f.Close()
	if t, ok := to.(pin.OutgoingTransfer); ok {
		t.SetSize(size)
	}
	from := &source{ctx: s.ctx, r: bufio.NewReaderSize(f, readAhead)}
	sent, err := to.ReadFrom(from)
	if from.err != nil {
		err = from.err
	} else {
		err = j.explain(err, sent == size)
	}
	s.finish(j, size, sent, err)
	return nil
}

// source is a file as the library reads it. The library tells the client the
// text of a read error, so that text is fixed, and err keeps the true one.
type source struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		s.err = errStopping
		return 0, errStopping
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = fmt.Errorf("read file: %w", err)
		err = errReading
	}
	return n, err
}

// explain turns the library's errors into those of this package. It has none
// of its own for a client's ERROR packet but a text.
func (j *job) explain(err error, complete bool) error {
	if err == nil {
		return nil
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		if complete {
			return errLastAck
		}
		return errSilent
	}
	var block uint16
	var code uint16
	if n, _ := fmt.Sscanf(err.Error(), "sending block %d: code=%d,", &block, &code); n != 2 {
		return err
	}
	_, text, _ := strings.Cut(err.Error(), "error: ")
	ended := newClientError(code, text)
	if block == 0 && j.isProbe(ended) {
		return errProbe
	}
	return ended
}
