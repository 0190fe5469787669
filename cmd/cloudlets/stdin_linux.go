package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// interruptible is an input whose reads end with ctx where it is a pipe: what
// waits for another program's bytes must not wait for them when it is told to
// stop. What is no pipe is always ready, or stays as it is.
func interruptible(ctx context.Context, in io.Reader) io.Reader {
	f, ok := in.(*os.File)
	if !ok {
		return in
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return in
	}
	// Opened anew, since the other end may be surprised by a change to what it
	// shares with us.
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return in // it is another user's
	}
	context.AfterFunc(ctx, func() { _ = again.SetReadDeadline(time.Unix(1, 0)) })
	return pipeInput{ctx, again}
}

type pipeInput struct {
	ctx context.Context
	f   *os.File
}

// Read reads until the context ends, and then fails with its error.
func (p pipeInput) Read(b []byte) (int, error) {
	n, err := p.f.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = p.ctx.Err()
	}
	return n, err
}
