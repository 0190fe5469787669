package ejs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/metrics"
	"time"

	"cloudlets/images/cputime"
)

// childGrace is how much more time than its limit a render may take before the child
// ends itself.
const childGrace = 500 * time.Millisecond

// maxStack is the maximum Go stack of a child in bytes. Deep recursion in the
// JavaScript engine then ends the child instead of using up the machine's
// memory.
const maxStack = 64 << 20

// ServeChild is the main function of a sandbox's child process. It limits the
// memory of the whole process permanently, so the process must do nothing else.
// It returns when in ends, that is when the parent has closed it or is gone.
func ServeChild(in io.Reader, out io.Writer) error {
	var s settings
	if _, err := readFrame(in, 0, &s); err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	if err := bound(s.Memory); err != nil {
		return err
	}
	if err := writeFrame(out, response{}); err != nil {
		return fmt.Errorf("report that the child is ready: %w", err)
	}
	c := &child{renderer: &Renderer{Limits: Limits{Time: s.Time, Output: s.Output}}, memory: s.Memory}
	return c.serve(in, out)
}

// child answers requests.
type child struct {
	renderer *Renderer
	memory   int64
}

// serve answers requests until there are no more.
func (c *child) serve(in io.Reader, out io.Writer) error {
	for {
		var req request
		body, err := readFrame(in, maxRequest, &req)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		if len(req.Key) != len(key{}) || req.Template < noTemplate || req.Template > len(body) {
			return fmt.Errorf("read a request: inconsistent lengths: a key of %d bytes, a template of %d of %d bytes", len(req.Key), req.Template, len(body))
		}
		resp, text := c.render(req, body)
		resp.Retire = heap() > uint64(c.memory)/2
		if err := writeFrame(out, resp, text); err != nil {
			return fmt.Errorf("write a response: %w", err)
		}
	}
}

// render does one render.
func (c *child) render(req request, body []byte) (response, []byte) {
	ctx, stop := withinBudget(c.renderer.Limits.Time)
	defer stop()
	prog := c.renderer.known(key(req.Key))
	if prog == nil {
		if req.Template == noTemplate {
			return response{Unknown: true}, nil
		}
		var err error
		if prog, err = c.renderer.compile(key(req.Key), req.Name, body[:req.Template]); err != nil {
			return failed(err), nil
		}
	}
	out, err := c.renderer.run(ctx, prog, body[max(req.Template, 0):])
	if err != nil {
		return failed(err), nil
	}
	return response{}, out
}

// minLook is the minimum pause between two looks at the processor time.
const minLook = 5 * time.Millisecond

// withinBudget returns a context that ends with errTime as its cause when a render
// has taken limit by the clock and in processor time. The process does one render at a
// time, so its processor time is the render's and that of the collection of garbage,
// which runs beside it. JavaScript functions that cannot be interrupted may go on; then
// the whole process ends after childGrace more, since no parent may be left to kill it.
// The caller must call stop.
func withinBudget(limit time.Duration) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan struct{})
	start, began := time.Now(), cputime.Process()
	go func() {
		for end := limit; ; {
			// Two threads run at once (GOMAXPROCS=2), so half of what is left is the
			// soonest that the processor time can be used up.
			left := max(end-time.Since(start), (end-(cputime.Process()-began))/2, minLook)
			select {
			case <-time.After(left):
			case <-ended:
				return
			}
			switch used := min(time.Since(start), cputime.Process()-began); {
			case used >= limit+childGrace:
				os.Exit(exitTime)
			case used >= limit:
				cancel(errTime)
				end = limit + childGrace
			}
		}
	}()
	return ctx, func() { close(ended); cancel(nil) }
}

// failed returns the response for an error.
func failed(err error) response {
	var fault *Error
	if errors.As(err, &fault) {
		return response{Error: fault}
	}
	return response{Failure: shortened(err.Error())}
}

// exitTime is the exit code of a child that ran out of time.
const exitTime = 3

// heap returns how many bytes of memory the Go runtime holds.
func heap() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(samples)
	if samples[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return samples[0].Value.Uint64()
}
