//go:build linux

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"cloudlets/provision/power"
)

// consoleAction is the action for which a program shows the machine's console.
const consoleAction = "console"

// Console shows a machine's console by a program: what the person types is its standard
// input, and its output and its errors are what the person sees. They are pipes, and no
// terminal.
type Console struct {
	// Command is the program's absolute path, and its arguments. No shell reads them.
	Command []string
	// MAC and Hostname are the machine's.
	MAC, Hostname string
}

var _ power.Console = (*Console)(nil)

// Join implements [power.Console]. Whatever the program started and left in its process
// group ends with it.
func (c *Console) Join(ctx context.Context, ready func() (io.Reader, io.Writer, error)) error {
	joined, end := context.WithCancel(ctx)
	defer end()
	cmd := newCommand(joined, c.Command, consoleAction, c.MAC, c.Hostname)
	typed, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("run %s for the console: %w", c.Command[0], err)
	}
	shown, far, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("run %s for the console: %w", c.Command[0], err)
	}
	defer shown.Close()
	cmd.Stdout, cmd.Stderr = far, far
	err = cmd.Start()
	far.Close()
	if err != nil {
		return fmt.Errorf("run %s for the console: %w", c.Command[0], err)
	}
	in, out, err := ready()
	copied := make(chan struct{})
	if err != nil {
		end()
		close(copied)
	} else {
		go func() {
			_, _ = io.Copy(typed, in) // it ends when the person leaves, or the program reads no more
			end()
		}()
		go func() {
			defer close(copied)
			if _, err := io.Copy(out, shown); err != nil {
				end() // the person is gone, or the output is held after the program's end
			}
		}()
	}
	awaitEnd(cmd.Process.Pid)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // before Wait frees its number
	left := joined.Err() != nil
	failed := cmd.Wait()
	_ = shown.SetReadDeadline(time.Now().Add(drainTime)) // something that it started may hold the output open
	<-copied
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case failed == nil, left, errors.Is(failed, exec.ErrWaitDelay):
		return nil
	}
	return fmt.Errorf("the program %s for the console ended: %w", c.Command[0], failed)
}
