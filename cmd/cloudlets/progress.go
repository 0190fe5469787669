package main

import (
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"cloudlets/images/disk/sparse"
)

// progress shows how much of a known number of bytes is done: a bar with rate
// and time left on a terminal, and nothing elsewhere.
type progress struct {
	pool *mpb.Progress
	bar  *mpb.Bar
}

func newProgress(w io.Writer, what string, total int64) *progress {
	p := &progress{}
	if !isTerminal(w) {
		return p
	}
	p.pool = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.WithRefreshRate(200*time.Millisecond))
	p.bar = p.pool.AddBar(total,
		mpb.PrependDecorators(decor.Name(what+" ")),
		mpb.AppendDecorators(
			decor.Percentage(decor.WCSyncSpace), decor.Name("  "),
			decor.AverageSpeed(decor.SizeB1000(0), "% .1f"), decor.Name("  "),
			decor.AverageETA(decor.ET_STYLE_GO), decor.Name(" left"),
		),
		mpb.BarRemoveOnComplete(),
	)
	return p
}

// add counts bytes.
func (p *progress) add(n int64) {
	if p.bar != nil {
		p.bar.IncrInt64(n)
	}
}

// end removes the bar.
func (p *progress) end() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.pool.Wait()
	}
}

// watch returns a writer that counts the bytes written to w, holes included.
func (p *progress) watch(w sparse.Writer) sparse.Writer {
	if p.bar == nil {
		return w
	}
	return &watched{w, p}
}

type watched struct {
	w sparse.Writer
	p *progress
}

// Write passes bytes on.
func (w *watched) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	w.p.add(int64(n))
	return n, err
}

// Skip passes a hole on.
func (w *watched) Skip(n int64) error {
	w.p.add(n)
	return w.w.Skip(n)
}

// counter shows on a terminal how many bytes are done, of an unknown number.
type counter struct {
	pool *mpb.Progress
	bar  *mpb.Bar
}

func newCounter(w io.Writer, what string) *counter {
	c := &counter{}
	if !isTerminal(w) {
		return c
	}
	c.pool = mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(200*time.Millisecond))
	c.bar = c.pool.New(0, mpb.NopStyle(), mpb.PrependDecorators(
		decor.Name(what+"  "), decor.CurrentKiloByte("% .1f"), decor.Name("  "), decor.AverageSpeed(decor.SizeB1000(0), "% .1f"),
	))
	return c
}

// set shows how many bytes are done. The number of files is not shown.
func (c *counter) set(_ int, bytes int64) {
	if c.bar != nil {
		c.bar.SetCurrent(bytes)
	}
}

// end removes the line.
func (c *counter) end() {
	if c.bar != nil {
		c.bar.Abort(true)
		c.pool.Wait()
	}
}
