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

// stageUnmapped is the argument of a child whose user namespace has no users
// yet.
const stageUnmapped = "unmapped"

// Child is the main function of the child process that [Run] starts, which is
// process 1 of the new namespaces. It makes the mounts, runs the checks and the
// command, and reaps orphans. It ends when the command ends or when Run's
// process is gone. Nothing else may run in its process. args are the arguments
// after those of [Spec.Child]. When Child returns, the process must end. The
// error is one that could not be reported to Run.
func Child(args []string) error {
	runtime.LockOSThread() // for the signal that comes when the parent dies
	orders, reports := os.NewFile(ordersFD, "orders"), os.NewFile(reportsFD, "reports")
	if os.Getpid() != 1 || orders == nil || reports == nil {
		return errors.New("only the chroot verb may start this")
	}
	if len(args) > 0 && args[0] == stageUnmapped {
		return becomeRoot(orders)
	}
	// Set this again: the kernel resets it when an exec gains capabilities.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("ask to end with the parent: %w", err)
	}
	if err := closeOnExec(); err != nil {
		return err
	}
	// A terminal sends its signals to the command as well, which handles them.
	// If this process ignored them, the command would inherit that. So catch
	// and drop them.
	signal.Notify(make(chan os.Signal), takenSignals()...)
	return enter(orders).write(reports)
}

// becomeRoot waits until the caller is root in the namespace and then executes
// this program again as root. At the first exec the namespace had no root, so
// the process lost all capabilities.
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

// closeOnExec keeps all open files away from the command: a file from outside
// the image would be a way out.
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

// takenSignals are all signals that can be caught, except those that the Go
// runtime needs: SIGURG wakes goroutines, and faults must stay faults.
func takenSignals() []os.Signal {
	return []os.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM,
		unix.SIGPIPE, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGWINCH,
	}
}

// enter executes the first order.
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

// listen passes signals on as they arrive. If the parent is gone, it ends the
// process, and with it everything inside: the kernel ends a PID namespace with
// its process 1.
func listen(messages *json.Decoder, p *processes) {
	for {
		var m message
		if err := messages.Decode(&m); err != nil {
			syscall.Exit(firstSignalExit + int(unix.SIGKILL)) // at once, even during other work
		}
		p.signal(m.Signal)
	}
}

// prepare sets up the environment of the command.
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

// maxHostname is the maximum length of a host name in Linux, in bytes.
const maxHostname = 64

// hostnameOf makes a host name (RFC 1123) from the name of an image.
func hostnameOf(name string) string {
	b := []byte(filepath.Base(name))
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' {
			b[i] = '-'
		}
	}
	return string(b[:min(len(b), maxHostname)])
}

// exitCode returns the exit code that a shell would report for a process.
func exitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return firstSignalExit + int(ws.Signal())
	}
	return ws.ExitStatus()
}
