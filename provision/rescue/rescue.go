// Package rescue runs a rescue system: the files of an image in memory, with a shell on
// each of the machine's consoles and, if there are keys for it, an SSH server. It has
// nothing that writes a disk. Start reading at [System.Run].
package rescue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/provision/process1"
)

// System is a rescue system whose files are in memory, as the root of this process.
type System struct {
	// Name is the machine's, and Image the one that the files are of.
	Name, Image string
	// Shell is the program that [FindShell] found.
	Shell string
	// SSHKeys may log in as root; without any there is no SSH server.
	SSHKeys []string
	// Resolver is what /etc/resolv.conf shall have.
	Resolver []byte
	// Mounted are the lines about the machine's disks.
	Mounted []string
	// Say shows a line on the machine's console, and tells the server.
	Say func(format string, args ...any)
	Log *slog.Logger

	children process1.Children
	greeting string
}

// Run makes the system usable and starts its shells. It returns only with an error, or
// when somebody on the machine asked for a restart by the signals of sysvinit and busybox.
func (s *System) Run(ctx context.Context) error {
	if err := s.furnish(); err != nil {
		return fmt.Errorf("furnish the rescue system: %w", err)
	}
	go s.children.Reap(ctx)
	ssh := s.startSSH(ctx)
	s.greeting = s.greet(ssh)
	active, _ := os.ReadFile("/sys/class/tty/console/active")
	for _, name := range terminals(string(active)) {
		go s.serve(ctx, name)
	}
	s.Say("the rescue system of %s runs, with %s in memory; %s", s.Name, s.Image, ssh)
	return s.wait(ctx)
}

// wait waits for a signal by which the system's own programs ask process 1 to end.
func (s *System) wait(ctx context.Context) error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case which := <-asked:
		if which == unix.SIGTERM {
			return process1.Reboot()
		}
		return process1.PowerOff()
	}
}

// furnish makes what an init would make: devices for terminals, the machine's name, and
// the network's name servers. All of it is in memory.
func (s *System) furnish() error {
	err := os.MkdirAll("/dev/pts", 0o755)
	if err == nil {
		err = mountOnce("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "gid=5,mode=620,ptmxmode=666")
	}
	if err != nil {
		return err
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		_ = os.Symlink(to, "/dev/"+name) // some kernels' devtmpfs have them
	}
	if err := unix.Sethostname([]byte(s.Name)); err != nil {
		return fmt.Errorf("give the machine its name: %w", err)
	}
	if len(s.Resolver) == 0 {
		return nil
	}
	// The image's may be a link to what a service would write.
	_ = os.Remove("/etc/resolv.conf")
	err = os.MkdirAll("/etc", 0o755)
	if err == nil {
		err = os.WriteFile("/etc/resolv.conf", s.Resolver, 0o644)
	}
	return err
}

func mountOnce(source, dir, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, dir, kind, flags, data); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("mount %s on %s: %w", kind, dir, err)
	}
	return nil
}

// greet is what a person reads above the first prompt.
func (s *System) greet(ssh string) string {
	lines := []string{
		fmt.Sprintf("rescue of %s, with %s in memory: what is changed here is lost when the machine starts again", s.Name, s.Image),
		ssh,
	}
	lines = append(lines, s.Mounted...)
	lines = append(lines, "`reboot -f` starts the machine again")
	return "\ncloudlets: " + strings.Join(lines, "\ncloudlets: ") + "\n\n"
}

// again is the pause before a shell or a server that has ended is started again.
const again = time.Second
