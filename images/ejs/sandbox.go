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

// Options configure a [Sandbox]. The zero value works.
type Options struct {
	Limits Limits
	// Workers is the maximum number of simultaneous renders; 0 means one for
	// each CPU.
	Workers int
	// Logger receives a warning when a child was killed. nil means no logging.
	Logger *slog.Logger
}

// Sandbox renders templates in child processes with limits on time, memory and
// output. A child does one render at a time. If a child dies or exceeds its
// limits, the next render starts a new one. Several goroutines may use a
// sandbox at the same time.
type Sandbox struct {
	command []string
	limits  Limits
	log     *slog.Logger

	slots chan struct{} // holds one element for each running render

	mu     sync.Mutex
	idle   []*worker
	closed bool
}

// NewSandbox returns a sandbox. command is the program and its arguments that
// start a child; the program must call [ServeChild] with its standard input and
// output. Children are started only when they are needed.
func NewSandbox(command []string, o Options) *Sandbox {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Sandbox{command: command, limits: o.Limits.orDefault(), log: o.Logger, slots: make(chan struct{}, o.Workers)}
}

// Render is [Renderer.Render] in a child process. If all children are busy, it
// waits.
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

// worker returns an idle child or starts a new one.
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

// bury ends a child that failed and returns the reason as an error. It is of
// type [*Error] only if it is the template's fault.
func (s *Sandbox) bury(ctx context.Context, w *worker, name string, err error) error {
	reason := w.postMortem(err, s.limits)
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("template %s: %w", name, cause)
	}
	s.log.Warn("template process ended", "template", name, "reason", reason)
	if errors.Is(err, ErrStalled) {
		return fmt.Errorf("template %s: %w", name, err)
	}
	return &Error{Template: name, Reason: reason}
}

// Close ends the children. It waits for running renders; later ones fail with
// [ErrClosed].
func (s *Sandbox) Close() error {
	s.mu.Lock()
	s.closed = true
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, w := range idle {
		w.end()
	}
	for range cap(s.slots) { // taking all slots waits for running renders
		s.slots <- struct{}{}
	}
	for range cap(s.slots) {
		<-s.slots
	}
	return nil
}

// worker is one child process. Only one render uses it at a time.
type worker struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.Reader
	stderr headBuffer
	// known are the templates that were sent to the child.
	known map[key]bool
}

// stallTime is how long a child may take until it is ready, and how long it may
// stay silent beyond ten times the limit of a render. A child ends by itself when
// it has used its processor time, so this is only reached if the computer gives
// it hardly any.
const stallTime = 30 * time.Second

// ErrStalled means that a child got hardly any processor time. It says nothing about
// the template, which may render well at another time.
var ErrStalled = errors.New("its process got hardly any processor time: try again when the computer is less busy")

func startWorker(ctx context.Context, command []string, l Limits) (*worker, error) {
	if len(command) == 0 {
		return nil, errors.New("start the template process: no command is given")
	}
	w := &worker{cmd: exec.Command(command[0], command[1:]...)}
	// The child gets an empty environment, so it knows no secrets. Its crash
	// reports are short. In its own process group the terminal's signals do not
	// reach it.
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
	err = w.bounded(ctx, stallTime, func() error {
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

// render renders in the child. After an error the child must not be used again.
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

// exchange sends one request and receives the response.
func (w *worker) exchange(ctx context.Context, req request, l Limits, body ...[]byte) (response, []byte, error) {
	var resp response
	var out []byte
	err := w.bounded(ctx, 10*l.Time+stallTime, func() error {
		if err := writeFrame(w.in, req, body...); err != nil {
			return err
		}
		var err error
		out, err = readFrame(w.out, l.Output, &resp)
		return err
	})
	return resp, out, err
}

// bounded calls do, and kills the child when the time is up or the context
// ends.
func (w *worker) bounded(ctx context.Context, limit time.Duration, do func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, ErrStalled)
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
	w.cmd.Wait() // ignore the exit status: the child was killed
}

// postMortem ends a child and returns why its render failed.
func (w *worker) postMortem(err error, l Limits) string {
	w.in.Close()
	var exit *exec.ExitError
	ended := w.wait()
	said := w.stderr.String()
	switch {
	case errors.As(ended, &exit) && exit.ExitCode() == exitTime:
		return fmt.Sprintf("%v: more than %v", errTime, l.Time)
	case errors.Is(err, ErrStalled):
		return err.Error()
	case outOfMemory(said):
		return fmt.Sprintf("it takes more memory than the %d MiB allowed", l.Memory>>20)
	case strings.Contains(said, "stack overflow"), strings.Contains(said, "stack exceeds"):
		return "it is nested too deep"
	}
	first, _, _ := strings.Cut(said, "\n")
	return fmt.Sprintf("its process failed: %v (%v) %s", err, ended, first)
}

// outOfMemory recognises the last message of a Go program that ran out of
// memory, with or without the race detector.
func outOfMemory(said string) bool {
	for _, words := range []string{"out of memory", "cannot allocate memory", "allocation size out of range", "failed to allocate", "address space"} {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}

// wait waits for a child that should end, and kills it if it does not.
func (w *worker) wait() error {
	patience := time.AfterFunc(childGrace, func() { w.cmd.Process.Kill() })
	defer patience.Stop()
	return w.cmd.Wait()
}

// headBuffer keeps only the beginning of what is written to it.
type headBuffer struct {
	mu   sync.Mutex
	text []byte
}

// maxLastWords is how many bytes of a child's error output are kept.
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
