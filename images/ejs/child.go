package ejs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/metrics"
	"time"
)

// childGrace is how long a render may exceed its limit before the child ends
// itself. After twice that time the parent kills the child.
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

// render does one render. JavaScript functions that cannot be interrupted may
// exceed the time limit; then the whole process ends, since no parent may be
// left to kill it.
func (c *child) render(req request, body []byte) (response, []byte) {
	watchdog := time.AfterFunc(c.renderer.Limits.Time+childGrace, func() { os.Exit(exitTime) })
	defer watchdog.Stop()
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
	out, err := c.renderer.run(context.Background(), prog, body[max(req.Template, 0):])
	if err != nil {
		return failed(err), nil
	}
	return response{}, out
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
