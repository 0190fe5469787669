package ejs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Options are what a [Sandbox] may be told. The zero value will do.
type Options struct {
	Limits Limits
	// Workers is how many renders may go on at once; 0 is one a processor.
	Workers int
	// Logger hears of children that were ended; nil is silent.
	Logger *slog.Logger
}

// Sandbox renders templates in child processes, each of them bound in time,
// memory and output. A child serves one render after the other; one that
// dies or overruns is replaced by the next. A sandbox may be used by several
// goroutines at once.
type Sandbox struct {
	command []string
	limits  Limits
	log     *slog.Logger

	slots chan struct{} // one for each render that goes on

	mu     sync.Mutex
	idle   []*worker
	closed bool
}

// NewSandbox is a sandbox whose children are started by a command, the
// program and its arguments, that calls [ServeChild] on its standard input
// and output. No child is started before it is needed.
func NewSandbox(command []string, o Options) *Sandbox {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Sandbox{command: command, limits: o.Limits.orDefault(), log: o.Logger, slots: make(chan struct{}, o.Workers)}
}

// Render is [Renderer.Render] in a child process. It waits while all
// children are busy.
func (s *Sandbox) Render(ctx context.Context, name string, template []byte, data json.RawMessage) ([]byte, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("template %s: wait for a free template process: %w", name, context.Cause(ctx))
	}
	w, err := s.worker(ctx)
	if err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	resp, out, err := w.render(ctx, name, template, data, s.limits)
	if err != nil {
		return nil, s.bury(ctx, w, name, err)
	}
	s.release(w, resp.Retire)
	switch {
	case resp.Error != nil:
		return nil, resp.Error
	case resp.Failure != "":
		return nil, errors.New(resp.Failure)
	}
	return out, nil
}

// worker takes an idle child or starts one.
func (s *Sandbox) worker(ctx context.Context) (*worker, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	if last := len(s.idle) - 1; last >= 0 {
		w := s.idle[last]
		s.idle = s.idle[:last]
		s.mu.Unlock()
		return w, nil
	}
	s.mu.Unlock()
	return startWorker(ctx, s.command, s.limits)
}

// release keeps a child for the next render, or ends it.
func (s *Sandbox) release(w *worker, retire bool) {
	s.mu.Lock()
	keep := !s.closed && !retire
	if keep {
		s.idle = append(s.idle, w)
	}
	s.mu.Unlock()
	if !keep {
		w.end()
	}
}

// bury ends a child that failed and says why it did.
func (s *Sandbox) bury(ctx context.Context, w *worker, name string, err error) error {
	reason := w.postMortem(err, s.limits)
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("template %s: %w", name, cause)
	}
	s.log.Warn("template process ended", "template", name, "reason", reason)
	return &Error{Template: name, Reason: reason}
}

// Close ends the children. Renders that go on are waited for; later ones
// fail with [ErrClosed].
func (s *Sandbox) Close() error {
	s.mu.Lock()
	s.closed = true
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, w := range idle {
		w.end()
	}
	for range cap(s.slots) { // all slots free: no render goes on
		s.slots <- struct{}{}
	}
	for range cap(s.slots) {
		<-s.slots
	}
	return nil
}

// worker is one child process. It belongs to one render at a time.
type worker struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.Reader
	stderr headBuffer
	// known are the templates that the child has been sent.
	known map[key]bool
}

// startTime bounds how long a child may take to be ready.
const startTime = 30 * time.Second

func startWorker(ctx context.Context, command []string, l Limits) (*worker, error) {
	if len(command) == 0 {
		return nil, errors.New("start the template process: no command is given")
	}
	w := &worker{cmd: exec.Command(command[0], command[1:]...)}
	// The child gets no secrets from the environment, short crash reports,
	// and a process group apart from the terminal's signals.
	w.cmd.Env = []string{"GOTRACEBACK=none", "GOMAXPROCS=2"}
	w.cmd.Dir = "/"
	w.cmd.SysProcAttr = apart()
	w.cmd.Stderr = &w.stderr
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the template process: %w", err)
	}
	if w.out, err = w.cmd.StdoutPipe(); err != nil {
		return nil, fmt.Errorf("start the template process: %w", err)
	}
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the template process: %w", err)
	}
	var ready response
	err = w.bounded(ctx, startTime, func() error {
		if err := writeFrame(w.in, settings(l)); err != nil {
			return err
		}
		_, err := readFrame(w.out, 0, &ready)
		return err
	})
	if err != nil {
		w.end()
		return nil, fmt.Errorf("start the template process %s: %w; it said: %q", command[0], err, w.stderr.String())
	}
	return w, nil
}

// render has the child render. After an error it is of no more use.
func (w *worker) render(ctx context.Context, name string, template []byte, data json.RawMessage, l Limits) (response, []byte, error) {
	k := keyOf(name, template)
	req := request{Name: name, Key: k[:], Template: noTemplate}
	if w.known[k] {
		resp, out, err := w.exchange(ctx, req, l, data)
		if err != nil || !resp.Unknown {
			return resp, out, err
		}
	}
	req.Template = len(template)
	resp, out, err := w.exchange(ctx, req, l, template, data)
	if len(w.known) >= maxPrograms || w.known == nil {
		w.known = map[key]bool{}
	}
	w.known[k] = true
	return resp, out, err
}

// exchange sends one request and receives its response.
func (w *worker) exchange(ctx context.Context, req request, l Limits, body ...[]byte) (response, []byte, error) {
	var resp response
	var out []byte
	err := w.bounded(ctx, l.Time+2*childGrace, func() error {
		if err := writeFrame(w.in, req, body...); err != nil {
			return err
		}
		var err error
		out, err = readFrame(w.out, l.Output, &resp)
		return err
	})
	return resp, out, err
}

// bounded does something with the child, which is killed when the time is up
// or the context ends.
func (w *worker) bounded(ctx context.Context, limit time.Duration, do func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTime)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { w.cmd.Process.Kill() })
	err := do()
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// end kills the child and waits for it.
func (w *worker) end() {
	w.in.Close()
	w.cmd.Process.Kill()
	w.cmd.Wait() // its exit status is of no interest: it was killed
}

// postMortem ends a child and says why its render failed.
func (w *worker) postMortem(err error, l Limits) string {
	w.in.Close()
	timedOut := errors.Is(err, errTime)
	if timedOut {
		w.cmd.Process.Kill()
	}
	var exit *exec.ExitError
	ended := w.wait()
	said := w.stderr.String()
	switch {
	case timedOut, errors.As(ended, &exit) && exit.ExitCode() == exitTime:
		return fmt.Sprintf("%v: more than %v", errTime, l.Time)
	case outOfMemory(said):
		return fmt.Sprintf("it takes more memory than the %d MiB allowed", l.Memory>>20)
	case strings.Contains(said, "stack overflow"), strings.Contains(said, "stack exceeds"):
		return "it is nested too deep"
	}
	first, _, _ := strings.Cut(said, "\n")
	return fmt.Sprintf("its process failed: %v (%v) %s", err, ended, first)
}

// outOfMemory recognises the last words of a Go program whose memory is
// limited, also with the race detector in it.
func outOfMemory(said string) bool {
	for _, words := range []string{"out of memory", "cannot allocate memory", "allocation size out of range", "failed to allocate", "address space"} {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}

// wait waits for a child that is about to end, and ends it if it is not.
func (w *worker) wait() error {
	patience := time.AfterFunc(childGrace, func() { w.cmd.Process.Kill() })
	defer patience.Stop()
	return w.cmd.Wait()
}

// headBuffer keeps the beginning of what is written to it.
type headBuffer struct {
	mu   sync.Mutex
	text []byte
}

// maxLastWords is how much of a child's last words is kept, in bytes.
const maxLastWords = 8 << 10

func (b *headBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p[:min(len(p), maxLastWords-len(b.text))]...)
	return len(p), nil
}

func (b *headBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}
