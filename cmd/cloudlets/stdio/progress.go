package stdio

import (
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"cloudlets/images/disk/sparse"
)

// Progress shows how much of a known number of bytes is done: a bar with rate
// and time left on a terminal, and nothing elsewhere.
type Progress struct {
	pool *mpb.Progress
	bar  *mpb.Bar
}

// NewProgress shows the progress of what is done on w, if w is a terminal. total
// is in bytes.
func NewProgress(w io.Writer, what string, total int64) *Progress {
	p := &Progress{}
	if !IsTerminal(w) {
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

// Add counts bytes.
func (p *Progress) Add(n int64) {
	if p.bar != nil {
		p.bar.IncrInt64(n)
	}
}

// End removes the bar.
func (p *Progress) End() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.pool.Wait()
	}
}

// Watch returns a writer that counts the bytes written to w, holes included.
func (p *Progress) Watch(w sparse.Writer) sparse.Writer {
	if p.bar == nil {
		return w
	}
	return &watched{w, p}
}

type watched struct {
	w sparse.Writer
	p *Progress
}

// Write passes bytes on.
func (w *watched) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	w.p.Add(int64(n))
	return n, err
}

// Skip passes a hole on.
func (w *watched) Skip(n int64) error {
	w.p.Add(n)
	return w.w.Skip(n)
}

// Counter shows on a terminal how many bytes are done, of an unknown number.
type Counter struct {
	pool *mpb.Progress
	bar  *mpb.Bar
}

// NewCounter shows on w, if w is a terminal, how much of what is done.
func NewCounter(w io.Writer, what string) *Counter {
	c := &Counter{}
	if !IsTerminal(w) {
		return c
	}
	c.pool = mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(200*time.Millisecond))
	c.bar = c.pool.New(0, mpb.NopStyle(), mpb.PrependDecorators(
		decor.Name(what+"  "), decor.CurrentKiloByte("% .1f"), decor.Name("  "), decor.AverageSpeed(decor.SizeB1000(0), "% .1f"),
	))
	return c
}

// Set shows how many bytes are done. The number of files is not shown.
func (c *Counter) Set(_ int, bytes int64) {
	if c.bar != nil {
		c.bar.SetCurrent(bytes)
	}
}

// End removes the line.
func (c *Counter) End() {
	if c.bar != nil {
		c.bar.Abort(true)
		c.pool.Wait()
	}
}
