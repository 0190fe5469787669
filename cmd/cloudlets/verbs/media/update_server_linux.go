package media

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/heap"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images"
	"cloudlets/provision"
	"cloudlets/provision/agent"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/agent/install"
	"cloudlets/provision/running"
)

// updateFrom carries out, on the running system's own disk, the install that its server has
// armed.
func (f *updateFlags) updateFrom(cmd *cobra.Command, server string) error {
	heap.Save()
	fail := func(err error) error { return fmt.Errorf("update the running system from %s: %w", server, err) }
	if u, err := url.Parse(server); err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return exit.With(fail(errors.New("give its URL, such as http://10.0.0.1 or http://10.0.0.1:8080")), exit.Usage)
	}
	if strings.HasPrefix(server, "https:") && f.authority == "" {
		return exit.With(fail(errors.New("give --authority FILE, the certificate that `cloudlets ca` prints on the server: else nothing says that it is the site's")), exit.Usage)
	}
	card, err := f.ownCard()
	if err != nil {
		return fail(err)
	}
	var trust *x509.Certificate
	if f.authority != "" {
		if _, err := os.Stat(f.authority); err != nil {
			return exit.With(fail(fmt.Errorf("--authority: %w", err)), exit.Usage)
		}
		if trust, err = client.ReadTrust(f.authority, []string{"https:"}); err != nil {
			return exit.With(fail(err), exit.Usage)
		}
	}
	own, err := f.findOwn(cmd.Context())
	if err != nil {
		return err
	}
	defer own.file.Close()
	if err := ownMounts(); err != nil {
		return fail(err)
	}
	program, err := f.putProgram(scratch)
	if err != nil {
		return fail(err)
	}
	// It may be run by SSH, and is not left half-way when the connection ends.
	signal.Ignore(unix.SIGPIPE)
	ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGHUP)
	defer stop()
	fmt.Fprintf(cmd.ErrOrStderr(), "cloudlets: asking %s what is armed for %s\n", server, card)
	result, err := agent.InPlace{
		Server: strings.TrimSuffix(server, "/"), Trust: trust, Card: card, Disk: own.Disk, Program: program, Dir: scratch,
		Out: cmd.ErrOrStderr(), Log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}.Run(ctx)
	if leave, is := errors.AsType[client.Leave](err); is {
		return fail(fmt.Errorf("the server has no install for this machine: %s; arm one there with `cloudlets install %s`", leave.Reason, card))
	}
	if err != nil {
		return fail(err)
	}
	return f.endFrom(cmd, own, result)
}

// endFrom tells what was done, and restarts the machine, since its server waits for the new
// system.
func (f *updateFlags) endFrom(cmd *cobra.Command, own ownSystem, result install.Result) error {
	f.restart = f.restart || !cmd.Flags().Changed("restart")
	slot, verb := result.Report.Slot, "wrote"
	if result.Rollback {
		verb = "goes back to"
	}
	var told error
	if f.disk.asJSON {
		told = printing.JSON(cmd.OutOrStdout(), summary{Out: own.File, Format: "raw", Size: own.on.Layout.Size, Slot: slot})
	} else {
		_, told = fmt.Fprintf(cmd.OutOrStdout(), "%s slot %s of %s; the next start tries it, and slot %s stays until it has proved itself\n", verb, strings.ToUpper(slot), own.File, own.Slot)
	}
	// The restart is part of the update, even if nobody reads this any more.
	cmd.SetContext(context.WithoutCancel(cmd.Context()))
	return errors.Join(told, f.startAgain(cmd))
}

// scratch is where the new system is mounted, and where the program for machines is. Every
// cloudlet has the folder.
const scratch = images.Dir

// isolated is set in the environment of a process that has mounts of its own.
const isolated = "CLOUDLETS_OWN_MOUNTS"

// ownMounts gives this process mounts of its own, with memory at scratch, so that nothing
// stays when it ends, however it ends, and what others mount meanwhile is not touched. A
// mount namespace is a thread's. So the thread that has it starts the program once more, and
// the other threads end.
func ownMounts() error {
	if os.Getenv(isolated) != "" {
		var there unix.Statfs_t
		if err := unix.Statfs(scratch, &there); err != nil || there.Type != unix.TMPFS_MAGIC {
			return fmt.Errorf("%s is set in its environment, and %s is not its own: unset it", isolated, scratch)
		}
		return nil
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("get mounts of its own: %w: run this as root, e.g. with sudo", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep its mounts from others: %w", err)
	}
	if err := unix.Mount("cloudlets-update", scratch, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID, "mode=0700,size=128m"); err != nil {
		return fmt.Errorf("mount memory on %s: %w", scratch, err)
	}
	err := unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), isolated+"=1"))
	return fmt.Errorf("start itself once more: %w", err)
}

// ownCard is the MAC by which the server knows this machine: the one that is given, or else
// the one in the URLs by which the system says that it runs.
func (f *updateFlags) ownCard() (provision.MAC, error) {
	if f.card != "" {
		mac, err := provision.ParseMAC(f.card)
		if err != nil {
			return "", exit.With(fmt.Errorf("--card: %w", err), exit.Usage)
		}
		return mac, nil
	}
	text, err := os.ReadFile(running.URLsPath)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is not there, so this system does not know by which network card the server knows it: give --card MAC", running.URLsPath)
	}
	if err != nil {
		return "", fmt.Errorf("read by which network card the server knows this machine: %w: run this as root, e.g. with sudo", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	mac, err := provision.ParseMAC(path.Base(path.Dir(first)))
	if err != nil {
		return "", fmt.Errorf("%s does not say by which network card the server knows this machine (%w): give --card MAC", running.URLsPath, err)
	}
	return mac, nil
}

// putProgram writes the program for machines into a file, from which the new system gets it.
func (f *updateFlags) putProgram(dir string) (file string, err error) {
	program, _, err := f.disk.program(runtime.GOARCH)
	if err != nil {
		return "", err
	}
	defer program.Close()
	file = filepath.Join(dir, "program")
	to, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, program)
	return file, errors.Join(err, to.Close())
}
