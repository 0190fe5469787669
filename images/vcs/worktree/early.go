//go:build unix

package worktree

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/term"

	"cloudlets/images/vcs"
)

// early is a "git status" that runs while this process looks at the tree. It
// begins on a guess: that the tree needs no change before git may see it, and
// that the same paths are volatile as in the run before. Its output is kept
// until the guess has proved right. Otherwise the output is dropped, and git
// runs again. That is harmless, because a status changes nothing but git's own notes
// in the index of what it has looked at.
type early struct {
	ignore string // the ignore file that git got
	output spool
	cancel context.CancelFunc
	ended  chan struct{} // closed after the following are set
	code   int
	err    error
	paged  bool
}

// startEarly starts an early run. It returns nil if the command is another one,
// or if the run before has left no guess.
func (s *session) startEarly(ctx context.Context) *early {
	if !s.isStatus() {
		return nil
	}
	guess, err := os.ReadFile(s.state.file(ignoreFile))
	if err != nil {
		return nil // no guess, or what it says is not worth an error
	}
	e := &early{ignore: string(guess), ended: make(chan struct{})}
	ctx, e.cancel = context.WithCancel(ctx)
	width, terminal := terminalWidth(s.Stdout)
	var env []string
	if terminal {
		env = asOnTerminal(width)
	}
	cmd := s.command(ctx, s.arguments(), env...)
	cmd.Stdout, cmd.Stderr = e.output.writer(s.Stdout), e.output.writer(s.Stderr)
	go func() {
		defer close(e.ended)
		e.code, e.err = s.wait(cmd)
		e.paged = terminal && s.paged(ctx)
	}()
	return e
}

// terminalWidth returns the number of columns if w is a terminal.
func terminalWidth(w io.Writer) (columns int, ok bool) {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		columns = 80
	}
	return columns, true
}

// asOnTerminal returns variables with which git writes into a pipe what it would
// write to a terminal, in colours and columns: it takes the pipe for a pager that
// shows them.
func asOnTerminal(columns int) []string {
	return []string{"GIT_PAGER_IN_USE=1", "COLUMNS=" + strconv.Itoa(columns)}
}

// paged reports whether the user's settings treat a terminal and a pager in
// different ways, so that only git itself can write to the terminal.
func (s *session) paged(ctx context.Context) bool {
	for _, option := range s.asked.Global {
		if option == "-p" || option == "--paginate" {
			return true
		}
	}
	query := append(slices.Clone(s.asked.Global), "config", "--name-only", "--get-regexp", `^(pager\.status|color\.pager)$`)
	out, _ := vcs.Ask(ctx, vcs.Git, s.Dir, query...) // without such a setting this is an error
	return len(out) > 0
}

// drop waits for a run whose guess was wrong. It is not ended: git makes a lock for its
// index, and if it is ended right then it leaves the lock behind. Only if it may read
// from a FIFO or a device, which can last for ever, there is no other way.
func (e *early) drop(mayBlock bool) {
	switch {
	case e == nil:
	case mayBlock:
		e.stop()
	default:
		<-e.ended
	}
}

// stop ends the run and drops what it printed. It may be called more than once,
// and on nil.
func (e *early) stop() {
	if e != nil {
		e.cancel()
		<-e.ended
	}
}

// fits reports whether the guess was right, now that the tree is known. changed
// means that the metadata file was not up to date.
func (e *early) fits(hidden []string, ignore string, changed bool) bool {
	if e == nil || len(hidden) > 0 || ignore != e.ignore || changed {
		return false
	}
	<-e.ended
	return !e.paged
}

// finish waits for the run, prints its output and returns its result.
func (e *early) finish() (int, error) {
	<-e.ended
	e.cancel()
	return e.code, errors.Join(e.err, e.output.print())
}

// spool keeps what is written to several writers, in the order of the writes.
type spool struct {
	mu     sync.Mutex
	pieces []piece
}

type piece struct {
	to   io.Writer
	text []byte
}

// writer returns a writer whose text is meant for another one, or for nobody if
// that is nil.
func (s *spool) writer(to io.Writer) io.Writer {
	if to == nil {
		return nil
	}
	return spooled{s, to}
}

type spooled struct {
	spool *spool
	to    io.Writer
}

func (w spooled) Write(text []byte) (int, error) {
	w.spool.mu.Lock()
	defer w.spool.mu.Unlock()
	w.spool.pieces = append(w.spool.pieces, piece{w.to, slices.Clone(text)})
	return len(text), nil
}

// print writes everything where it is meant to be.
func (s *spool) print() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pieces {
		if _, err := p.to.Write(p.text); err != nil {
			return err
		}
	}
	return nil
}
