package vcs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

// maxIdle is how many readers wait for work: one for a walk, one for a look
// at another file meanwhile.
const maxIdle = 2

// maxDrain is how much of a file that nobody wants more of is read, in bytes,
// rather than to end its reader.
const maxDrain = 1 << 20

// batchPool owns the processes that read a git repository's objects. One
// process serves one open file.
type batchPool struct {
	repository string

	mu     sync.Mutex
	idle   []*batch
	busy   map[*batch]bool
	closed bool
}

// batch is one "git cat-file --batch": it is asked for an object after the
// other.
type batch struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

var errClosed = errors.New("the revision is closed")

// open reads an object of a known size.
func (p *batchPool) open(object string, size int64) (io.ReadCloser, error) {
	b, err := p.take()
	if err != nil {
		return nil, err
	}
	if err := b.ask(object, size); err != nil {
		p.forget(b)
		return nil, errors.Join(err, b.end())
	}
	return &blob{pool: p, batch: b, left: size}, nil
}

func (p *batchPool) take() (*batch, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if p.busy == nil {
		p.busy = map[*batch]bool{}
	}
	var b *batch
	if n := len(p.idle); n > 0 {
		b, p.idle = p.idle[n-1], p.idle[:n-1]
	} else {
		var err error
		if b, err = startBatch(p.repository); err != nil {
			return nil, err
		}
	}
	p.busy[b] = true
	return b, nil
}

func startBatch(repository string) (*batch, error) {
	// It lives until close, not until the end of the call that needs it first.
	cmd, err := quiet(context.Background(), Git, repository, "cat-file", "--batch")
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start git: %w", err)
	}
	return &batch{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 64<<10)}, nil
}

// ask asks for an object, and reads the line before its content.
func (b *batch) ask(object string, size int64) error {
	if _, err := io.WriteString(b.in, object+"\n"); err != nil {
		return fmt.Errorf("ask git for %s: %w", object, err)
	}
	line, err := b.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("git tells nothing of %s: %w", object, err)
	}
	fields := strings.Fields(line)
	if len(fields) != 3 || fields[1] != "blob" || fields[2] != strconv.FormatInt(size, 10) {
		return fmt.Errorf("git says %q of %s: the repository is damaged; try \"git fsck\"", strings.TrimSpace(line), object)
	}
	return nil
}

// end ends the process, wherever it is.
func (b *batch) end() error {
	b.in.Close() // it ends by itself then, unless it writes
	_ = b.cmd.Process.Kill()
	err := b.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil // we ended it
	}
	return err
}

// release takes back a process that is ready for the next question.
func (p *batchPool) release(b *batch) error {
	p.mu.Lock()
	delete(p.busy, b)
	keep := !p.closed && len(p.idle) < maxIdle
	if keep {
		p.idle = append(p.idle, b)
	}
	p.mu.Unlock()
	if keep {
		return nil
	}
	return b.end()
}

func (p *batchPool) forget(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, b)
}

// close ends all processes; reading from a file that is open still fails.
func (p *batchPool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, b := range p.idle {
		errs = append(errs, b.end())
	}
	for b := range p.busy {
		_ = b.cmd.Process.Kill() // whoever has the file open waits for it
	}
	p.idle = nil
	return errors.Join(errs...)
}

// blob reads one object.
type blob struct {
	pool  *batchPool
	batch *batch // nil when it is closed
	left  int64
}

func (o *blob) Read(p []byte) (int, error) {
	if o.left == 0 || o.batch == nil {
		return 0, io.EOF
	}
	n, err := o.batch.out.Read(p[:min(int64(len(p)), o.left)])
	o.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("git ended early: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}

// Close gives the process back, once it has nothing more to say.
func (o *blob) Close() error {
	b := o.batch
	if b == nil {
		return nil
	}
	o.batch = nil
	if o.left <= maxDrain {
		if _, err := io.CopyN(io.Discard, b.out, o.left+1); err == nil { // a line break ends it
			return o.pool.release(b)
		}
	}
	o.pool.forget(b)
	return b.end()
}
