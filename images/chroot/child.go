//go:build linux

package chroot

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// stageUnmapped is the argument of a child in a user namespace that has no
// users yet.
const stageUnmapped = "unmapped"

// Child is the other side of [Run]: process 1 of the new namespaces. It makes
// the mounts, runs the checks and the command, buries orphans, and ends when
// the command does or when Run's process has gone. Nothing else may run in
// its process. args are those that follow [Spec.Child]. Where it returns, the
// process is to end; the error is one that Run could not be told.
func Child(args []string) error {
	runtime.LockOSThread() // for the signal that comes when the parent dies
	orders, reports := os.NewFile(ordersFD, "orders"), os.NewFile(reportsFD, "reports")
	if os.Getpid() != 1 || orders == nil || reports == nil {
		return errors.New("this is started by the chroot verb, and by nobody else")
	}
	if len(args) > 0 && args[0] == stageUnmapped {
		return becomeRoot(orders)
	}
	// Again: it is forgotten where an execution gives capabilities.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("ask to end with the parent: %w", err)
	}
	if err := closeOnExec(); err != nil {
		return err
	}
	// A terminal's signals are for the command. Ignoring them would be
	// inherited, so they are taken and dropped.
	signal.Notify(make(chan os.Signal), takenSignals()...)
	return enter(orders).write(reports)
}

// becomeRoot waits until the caller is the namespace's root, and starts again
// as that: the first execution, before there was one, lost all capabilities.
func becomeRoot(orders *os.File) error {
	if _, err := orders.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("wait for users: %w", err)
	}
	for _, fd := range []uintptr{ordersFD, reportsFD} {
		if _, err := unix.FcntlInt(fd, unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	args := os.Args[:len(os.Args)-1]
	return fmt.Errorf("start again as root: %w", unix.Exec("/proc/self/exe", args, []string{}))
}

// closeOnExec keeps every file that was left open away from the command: one
// that leads outside would be a way out.
func closeOnExec() error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("look for open files: %w", err)
	}
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// takenSignals are all that can be taken, but for those that the runtime
// needs: SIGURG wakes goroutines, and a fault is a fault.
func takenSignals() []os.Signal {
	return []os.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM,
		unix.SIGPIPE, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGWINCH,
	}
}

// enter does what the first order says.
func enter(orders *os.File) result {
	messages := json.NewDecoder(orders)
	var first message
	if err := messages.Decode(&first); err != nil || first.Order == nil {
		return problem(fmt.Errorf("read what to do: %w", err))
	}
	var p processes
	go listen(messages, &p)
	o := first.Order
	if err := prepare(o); err != nil {
		return problem(err)
	}
	for _, check := range o.Checks {
		if err := p.check(check, o.Env); err != nil {
			return problem(err)
		}
	}
	exit, err := p.run(o.Command, o.Env)
	if err != nil {
		return problem(err)
	}
	return result{Exit: exit}
}

// listen passes signals on as they come. When the parent is gone, so is all
// that is in here: the kernel ends a PID namespace with its process 1.
func listen(messages *json.Decoder, p *processes) {
	for {
		var m message
		if err := messages.Decode(&m); err != nil {
			syscall.Exit(firstSignalExit + int(unix.SIGKILL)) // at once, whatever is under way
		}
		p.signal(m.Signal)
	}
}

// prepare makes the world that the command sees.
func prepare(o *order) error {
	if err := makeRoot(o); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(o.Hostname)); err != nil {
		return fmt.Errorf("set the host name %s: %w", o.Hostname, err)
	}
	unix.Umask(0o022)
	return os.Chdir("/")
}

// maxHostname is the longest name that Linux gives a machine, in bytes.
const maxHostname = 64

// hostnameOf makes a host name (RFC 1123) of an image's name.
func hostnameOf(name string) string {
	b := []byte(filepath.Base(name))
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' {
			b[i] = '-'
		}
	}
	return string(b[:min(len(b), maxHostname)])
}

// exitCode is what a shell would call the end of a process.
func exitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return firstSignalExit + int(ws.Signal())
	}
	return ws.ExitStatus()
}
