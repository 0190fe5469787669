package process1

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// Children starts processes for process 1. It waits for them, and for the orphans that
// the kernel makes children of process 1, which nobody else waits for. The zero value is
// ready for use.
type Children struct {
	mu    sync.Mutex
	ended map[int]chan<- unix.WaitStatus // by process
}

// Start starts a command, whose input and output must be files. Its status comes by the
// channel when it ends, while [Children.Reap] runs. Nothing else may wait for it.
func (c *Children) Start(cmd *exec.Cmd) (<-chan unix.WaitStatus, error) {
	c.mu.Lock() // until it is listed, it must not be reaped
	defer c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if c.ended == nil {
		c.ended = make(map[int]chan<- unix.WaitStatus)
	}
	ended := make(chan unix.WaitStatus, 1)
	c.ended[cmd.Process.Pid] = ended
	return ended, cmd.Process.Release()
}

// Run starts a command and waits until it has ended.
func (c *Children) Run(cmd *exec.Cmd) (unix.WaitStatus, error) {
	ended, err := c.Start(cmd)
	if err != nil {
		return 0, err
	}
	return <-ended, nil
}

// Reap waits for all children until ctx ends.
func (c *Children) Reap(ctx context.Context) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	for {
		for c.reapOne() {
		}
		select {
		case <-ctx.Done():
			return
		case <-died:
		}
	}
}

// reapOne waits for one child that has ended, and returns false if there is none.
func (c *Children) reapOne() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	var status unix.WaitStatus
	pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
	if err == unix.EINTR {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	if ended, ours := c.ended[pid]; ours {
		delete(c.ended, pid)
		ended <- status
	}
	return true
}
