package bed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Machine is a virtual machine that is switched on.
type Machine struct {
	Spec    Spec
	Console *Console

	network *Network
	cmd     *exec.Cmd
	done    chan struct{}
	err     error
}

// Start switches a machine on, in the network. State that outlives a power
// cycle, such as UEFI variables, is kept in dir.
func Start(ctx context.Context, n *Network, dir string, spec Spec) (*Machine, error) {
	tap, err := n.Tap(ctx)
	if err != nil {
		return nil, err
	}
	args, err := spec.arguments(dir, tap)
	if err != nil {
		return nil, err
	}
	program, debian := spec.program()
	cmd := n.Command(ctx, program, args...)
	m := &Machine{Spec: spec, network: n, cmd: cmd, done: make(chan struct{})}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a virtual machine: %w (Debian package %s)", err, debian)
	}
	m.Console = newConsole(out, in)
	go m.wait()
	return m, nil
}

func (m *Machine) wait() {
	<-m.Console.closed // all output is read before Wait closes the pipe
	m.err = m.cmd.Wait()
	close(m.done)
}

// Done is closed when the machine is off.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Stop switches the machine off, by pid, and waits until it is gone.
func (m *Machine) Stop() {
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.done:
	case <-time.After(10 * time.Second):
		_ = m.cmd.Process.Kill()
		<-m.done
	}
}

// Kill ends the machine by pid as a power cut does, and waits until it is gone.
func (m *Machine) Kill() {
	_ = m.cmd.Process.Kill()
	<-m.done
}

// ProcessorTime is what a machine that is off took of this computer's processors.
func (m *Machine) ProcessorTime() time.Duration {
	return m.cmd.ProcessState.UserTime() + m.cmd.ProcessState.SystemTime()
}

// Network names the namespace that the machine is in.
func (m *Machine) Network() string { return m.network.Name }

// NewDisk makes an empty disk of size bytes, as a sparse file.
func NewDisk(file string, size int64) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}
