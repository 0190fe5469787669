//go:build !linux

package main

import (
	"context"
	"io"
	"os"
	"sync"
)

// interruptible is an input whose reads end with ctx: what waits for another
// program's bytes must not wait for them when it is told to stop. A read that
// no host can break off goes on in a goroutine, from the first one on.
func interruptible(ctx context.Context, in io.Reader) io.Reader {
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
