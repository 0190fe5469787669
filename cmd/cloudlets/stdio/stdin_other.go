//go:build !linux

package stdio

import (
	"context"
	"io"
	"os"
	"sync"
)

// Interruptible makes the reads from an input end with ctx, so that a program
// which waits for another program's bytes can be interrupted. Not every system
// can break off a read, so a goroutine reads, beginning with the first Read, and
// is left behind.
func Interruptible(ctx context.Context, in io.Reader) io.Reader {
	if f, ok := in.(*os.File); !ok || isRegular(f) {
		return in
	}
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	return &pipeInput{PipeReader: r, start: sync.OnceFunc(func() {
		go func() {
			_, err := io.Copy(w, in)
			w.CloseWithError(err)
		}()
	})}
}

func isRegular(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

type pipeInput struct {
	*io.PipeReader
	start func()
}

// Read reads until the context ends, and then fails with its error.
func (p *pipeInput) Read(b []byte) (int, error) {
	p.start()
	return p.PipeReader.Read(b)
}
