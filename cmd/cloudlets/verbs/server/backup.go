package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/outfile"
	"cloudlets/images/atomicfile"
	"cloudlets/provision"
	"cloudlets/provision/rollout/book"
	"cloudlets/provision/site"
	"cloudlets/provision/site/keys"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
	"cloudlets/web/api"
)

// checkStoreVerb is the hidden verb that checks a store in a process of its own.
const checkStoreVerb = "check-store"

func checkStoreCommand() *cobra.Command {
	return &cobra.Command{
		Use: checkStoreVerb + " FILE", Hidden: true, Args: exit.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			err := store.Check(args[0])
			if errors.Is(err, store.ErrInUse) {
				return exit.With(err, store.ExitInUse)
			}
			return err
		},
	}
}

// checkStore checks a store in another process.
func checkStore(ctx context.Context, path string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	return store.CheckApart(ctx, []string{self, checkStoreVerb}, path)
}

func backupCommand(socket *string) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Copy the server's state into a file", Args: exit.ExactArgs(1),
		Long: `Backup copies the state of the running server: leases, events, and which
machines are installed and armed. The copy is of one moment, and it is checked
before it gets its name. The server goes on meanwhile.

While no server runs, its file cloudlets.db in the state folder can be copied as
it is. The site's files and images are not part of the backup.`,
		Example: "  cloudlets backup /var/backups/cloudlets-$(date +%F).db",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			out := outfile.Flags{Out: args[0], Force: force}
			if err := out.MayWrite(); err != nil {
				return err
			}
			err := atomicfile.Write(args[0], 0o600, func(f *os.File) error {
				if err := c.Backup(cmd.Context(), f); err != nil {
					return err
				}
				return checkStore(cmd.Context(), f.Name())
			})
			if err != nil {
				return fmt.Errorf("write backup %s: %w", args[0], err)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "replace an existing file")
	return cmd
}

// restoreFlags say where a backup is put.
type restoreFlags struct {
	site, state string
	force       bool
}

func restoreCommand() *cobra.Command {
	var f restoreFlags
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Put a backup in the place of the server's state", Args: exit.ExactArgs(1),
		Long: `Restore puts a backup in the place of the server's state. The server must not
be running. The state that was there is kept under another name, in the state
folder.

If the site's cloudlets.json has a "store", the backup goes into etcd. None of
the servers that share it may be running, and what is there already is replaced
only with --force. A restore that was broken off leaves a store that no server
opens: run it again. A backup fits both, whichever it was made from.

Nobody knows what happened to the machines since the backup was made. So
nothing is armed after a restore, and "install": "once" installs no machine,
until a person arms it: cloudlets install NAME. Roll-outs are stopped, until a
person resumes them.`,
		Example: `  systemctl stop cloudlets && cloudlets restore /var/backups/cloudlets-2026-11-01.db && systemctl start cloudlets
  cloudlets restore /var/backups/cloudlets-2026-11-01.db --site /srv/site --force`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.restore(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.site, "site", ".", "the `folder` whose cloudlets.json says where the state is")
	flags.StringVar(&f.state, "state", "", "the `folder` of the server's state (default \""+defaultState+"\")")
	flags.BoolVarP(&f.force, "force", "f", false, "replace what is in etcd")
	_ = cmd.MarkFlagDirname("site")
	_ = cmd.MarkFlagDirname("state")
	return cmd
}

func (f restoreFlags) restore(cmd *cobra.Command, backup string) error {
	settings, err := f.settings()
	if err != nil {
		return err
	}
	if err := checkStore(cmd.Context(), backup); err != nil {
		return err
	}
	var disarmed []provision.MAC
	var stopped []string
	disarm := func(s store.Store) (err error) {
		if disarmed, err = track.Restored(cmd.Context(), s, time.Now()); err != nil {
			return err
		}
		stopped, err = book.Restored(cmd.Context(), s, time.Now())
		return err
	}
	var into, kept string
	if settings.Store.Shared() {
		into = "the store in etcd"
		kept, err = f.toEtcd(cmd.Context(), settings, backup, disarm)
	} else {
		into = filepath.Join(settings.State, store.FileName)
		kept, err = store.Restore(cmd.Context(), backup, into, disarm)
	}
	words := cmd.OutOrStdout()
	if kept != "" {
		defer fmt.Fprintf(words, "what was there is kept as %s\n", kept)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(words, "restored %s from %s\n", into, backup)
	for _, mac := range disarmed {
		fmt.Fprintf(words, "%s was armed when the backup was made, and is not armed now\n", mac)
	}
	for _, name := range stopped {
		fmt.Fprintf(words, "the roll-out %s was running when the backup was made, and is stopped now\n", name)
	}
	return nil
}

// settings are the site's, with flags in place of what they set.
func (f restoreFlags) settings() (keys.Settings, error) {
	opened, err := site.Open(f.site, nil)
	if err != nil {
		return keys.Settings{}, err
	}
	for _, problem := range opened.Problems() {
		if problem.File == site.SettingsFile {
			return keys.Settings{}, fmt.Errorf("read where the state is: %w; nothing was restored", problem)
		}
	}
	settings := opened.Settings()
	settings.State = cmp.Or(f.state, settings.State, defaultState)
	return settings, nil
}
