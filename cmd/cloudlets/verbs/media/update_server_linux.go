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
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/heap"
	"cloudlets/cmd/cloudlets/printing"
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
	own, err := f.findOwn()
	if err != nil {
		return err
	}
	own.file.Close()
	dir, err := os.MkdirTemp(runDir(), "cloudlets-update-")
	if err != nil {
		return fail(err)
	}
	defer removeMountPoints(dir)
	program, err := f.putProgram(dir)
	if err != nil {
		return fail(err)
	}
	defer os.Remove(program)
	result, err := agent.InPlace{
		Server: strings.TrimSuffix(server, "/"), Trust: trust, Card: card, Disk: own.Disk, Program: program, Dir: dir,
		Out: cmd.ErrOrStderr(), Log: slog.New(slog.DiscardHandler),
	}.Run(cmd.Context())
	if leave, is := errors.AsType[client.Leave](err); is {
		return fail(fmt.Errorf("the server has no install for this machine: %s; arm one there with `cloudlets install %s`", leave.Reason, card))
	}
	if err != nil {
		return fail(fmt.Errorf("%w; the system that runs stays as it is", err))
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
	if f.disk.asJSON {
		if err := printing.JSON(cmd.OutOrStdout(), summary{Out: own.File, Format: "raw", Size: own.on.Layout.Size, Slot: slot}); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s slot %s of %s; the next start tries it, and slot %s stays until it has proved itself\n", verb, strings.ToUpper(slot), own.File, own.Slot); err != nil {
		return err
	}
	// The restart is part of the update, even if it is interrupted now.
	cmd.SetContext(context.WithoutCancel(cmd.Context()))
	return f.startAgain(cmd)
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

// runDir is where files go that a restart removes, on systems that have such a place.
func runDir() string {
	if info, err := os.Stat("/run"); err == nil && info.IsDir() {
		return "/run"
	}
	return "" // the usual one for temporary files
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

// removeMountPoints removes empty directories. It is not recursive: what is still mounted
// there stays.
func removeMountPoints(dir string) {
	for _, name := range []string{"oldroot", "newroot", ""} {
		_ = os.Remove(filepath.Join(dir, name))
	}
}
