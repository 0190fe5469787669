package bed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Daemon is a running `cloudlets serve` on a network.
type Daemon struct {
	// Program is the cloudlets binary.
	Program string
	// Dir holds its state and its log.
	Dir  string
	Site string

	network *Network
	args    []string
	cmd     *exec.Cmd
	done    chan struct{}
}

// Serve starts a daemon on the network's bridge for the site in dir/site. The
// further arguments go to serve.
func Serve(ctx context.Context, n *Network, program, dir string, args ...string) (*Daemon, error) {
	d := &Daemon{Program: program, Dir: dir, Site: filepath.Join(dir, "site"), network: n, args: args}
	return d, d.Start(ctx)
}

// Socket is where the daemon listens for the command line.
func (d *Daemon) Socket() string { return filepath.Join(d.Dir, "cloudlets.sock") }

// Start starts the daemon, again if it was stopped, and returns when it
// answers.
func (d *Daemon) Start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(d.Dir, "serve.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"serve", "--site", d.Site, "--state", filepath.Join(d.Dir, "state"), "--socket", d.Socket()}
	if !d.hasNetworks() {
		args = append(args, "--interface", Bridge)
	}
	args = append(args, d.args...) // another interface comes last, and counts
	// Not the context of a single call: the daemon lives until Stop.
	d.cmd = d.network.Command(context.WithoutCancel(ctx), d.Program, args...)
	d.cmd.Dir = d.Dir
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("start cloudlets serve: %w", err)
	}
	d.done = make(chan struct{})
	go func() {
		_ = d.cmd.Wait() // its log says why it ended
		close(d.done)
	}()
	return d.waitUntilUp(ctx)
}

// hasNetworks says whether the site's settings have networks. They name the interfaces.
func (d *Daemon) hasNetworks() bool {
	text, _ := os.ReadFile(filepath.Join(d.Site, "cloudlets.json"))
	return bytes.Contains(text, []byte(`"networks"`))
}

func (d *Daemon) waitUntilUp(ctx context.Context) error {
	for {
		if _, err := d.Run(ctx, "machines"); err == nil {
			return nil
		}
		select {
		case <-d.done:
			return fmt.Errorf("cloudlets serve ended; its log:\n%s", d.Log())
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("cloudlets serve does not answer: %w; its log:\n%s", ctx.Err(), d.Log()), d.Stop())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends the daemon and waits until it is gone.
func (d *Daemon) Stop() error { return d.end(syscall.SIGTERM) }

// Kill ends the daemon as a power failure would.
func (d *Daemon) Kill() error { return d.end(syscall.SIGKILL) }

func (d *Daemon) end(signal syscall.Signal) error {
	_ = d.cmd.Process.Signal(signal)
	select {
	case <-d.done:
		return nil
	case <-time.After(20 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.done
		return errors.New("cloudlets serve did not end within 20 s of the signal")
	}
}

// PID is the daemon's process. `ip netns exec` becomes the program that it
// starts.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Log is what the daemon has logged.
func (d *Daemon) Log() string {
	text, _ := os.ReadFile(filepath.Join(d.Dir, "serve.log"))
	return string(text)
}

// Run runs a verb of the command line against the daemon.
func (d *Daemon) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.Program, append([]string{"--socket", d.Socket()}, args...)...)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("cloudlets %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(words.String()))
	}
	return out.String(), err
}

// WriteMachine writes a machine's file into the site.
func (d *Daemon) WriteMachine(mac string, file any) error {
	return WriteMachine(d.Site, mac, file)
}

// WriteMachine writes a machine's file into a site.
func WriteMachine(site, mac string, file any) error {
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(site, "machines", strings.ReplaceAll(mac, ":", "-")+".json")
	temp := name + ".part"
	return errors.Join(os.WriteFile(temp, append(text, '\n'), 0o644), os.Rename(temp, name))
}

// NewSite makes an empty site with one image: a link to the tarball or folder.
// A site that is there gets one image more.
func NewSite(dir, image, name string) error {
	for _, sub := range []string{"images", "machines", "profiles"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	return os.Symlink(image, filepath.Join(dir, "images", name+filepath.Ext(image)))
}

// Build builds the cloudlets binary of the module around dir, as `make build` does: one
// static file that carries the program for machines.
func Build(ctx context.Context, dir, out string, words io.Writer) error {
	return build(ctx, dir, words, "-o", out)
}

// BuildAgent builds the program for machines of an architecture, as a file for the
// server's folder of assets.
func BuildAgent(ctx context.Context, arch Arch, dir, out string, words io.Writer) error {
	return build(ctx, dir, words, "-agent", "-arch", string(arch), "-o", out)
}

func build(ctx context.Context, dir string, words io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"run", "./cmd/build"}, args...)...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = words, words
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build cloudlets: %w", err)
	}
	return nil
}
