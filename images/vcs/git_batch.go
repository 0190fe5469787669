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

// maxIdle is how many idle readers are kept: one for a walk, and one for
// reading another file during the walk.
const maxIdle = 2

// maxDrain is how many unwanted bytes are read to the end of a file so that its
// reader can be reused. If more are left, the reader is ended.
const maxDrain = 1 << 20

// batchPool owns the processes that read objects from a git repository. Each
// process serves one open file.
type batchPool struct {
	repository string

	mu     sync.Mutex
	idle   []*batch
	busy   map[*batch]bool
	closed bool
}

// batch is one process "git cat-file --batch". It is asked for one object after
// another.
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
	// The process lives until close, so it must not end with the first call
	// that needs it.
	cmd, err := Quiet(context.Background(), Git, repository, "cat-file", "--batch")
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

// ask requests an object and reads the line before its content.
func (b *batch) ask(object string, size int64) error {
	if _, err := io.WriteString(b.in, object+"\n"); err != nil {
		return fmt.Errorf("ask git for %s: %w", object, err)
	}
	line, err := b.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("git does not answer the request for %s: %w", object, err)
	}
	fields := strings.Fields(line)
	if len(fields) != 3 || fields[1] != "blob" || fields[2] != strconv.FormatInt(size, 10) {
		return fmt.Errorf("git answers %q to the request for %s: the repository is damaged; try \"git fsck\"", strings.TrimSpace(line), object)
	}
	return nil
}

// end kills the process in any state.
func (b *batch) end() error {
	b.in.Close() // this ends the process, unless it is writing
	_ = b.cmd.Process.Kill()
	err := b.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil // it was killed above
	}
	return err
}

// release returns a process that is ready for the next request to the pool.
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

// close ends all processes. Files that are still open then fail to read.
func (p *batchPool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, b := range p.idle {
		errs = append(errs, b.end())
	}
	for b := range p.busy {
		_ = b.cmd.Process.Kill() // closing the open file will wait for the process
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

// Close returns the process to the pool after its remaining output was read.
func (o *blob) Close() error {
	b := o.batch
	if b == nil {
		return nil
	}
	o.batch = nil
	if o.left <= maxDrain {
		if _, err := io.CopyN(io.Discard, b.out, o.left+1); err == nil { // the line break after the content
			return o.pool.release(b)
		}
	}
	o.pool.forget(b)
	return b.end()
}
