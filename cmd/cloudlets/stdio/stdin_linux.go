package stdio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Interruptible makes the reads from a pipe end with ctx, so that a program
// which waits for another program's bytes can be interrupted. It returns any
// other input as it is: a file is always ready.
func Interruptible(ctx context.Context, in io.Reader) io.Reader {
	f, ok := in.(*os.File)
	if !ok {
		return in
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return in
	}
	// Open the pipe once more: setting O_NONBLOCK on the descriptor that this
	// program got would change it for every process that shares it.
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return in // the pipe belongs to another user
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
