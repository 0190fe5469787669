package fleet

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/provision"
	"cloudlets/web/api"
)

func consoleCommand(socket *string) *cobra.Command {
	cmd := &cobra.Command{
		Use: "console MAC|HOSTNAME", Short: "Show a machine's console, and type on it", Args: exit.ExactArgs(1),
		Long: `Console joins your terminal with the machine's console, by what its file names as
"power": a program of yours ("console"), or else Serial over LAN ("ipmi"). What the
machine sends goes to your terminal as it is. Leave with ~. at the beginning of a
line, as with ssh; ~~ types one ~. In an ssh session of your own it is ~~. for that
reason.

For other machines it shows what the installer on them says, as it comes to the
server, and you cannot type. Leave that with Ctrl-C.`,
		Example: "  cloudlets console node1",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			m, err := c.Machine(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if m.Spec != nil && m.Spec.Power.ConsoleKind() != "" {
				return typeOnConsole(cmd, c, m)
			}
			return watchAgent(cmd, c, m)
		}),
		ValidArgsFunction: ask.CompleteMachines(socket, 1),
	}
	return cmd
}

// typeOnConsole joins this terminal with a console.
func typeOnConsole(cmd *cobra.Command, c *api.Client, m api.Detail) (err error) {
	restore := func() error { return nil }
	defer func() {
		if failed := restore(); err == nil {
			err = failed
		}
	}()
	return c.Console(cmd.Context(), string(m.MAC), ask.Caller(), func() (io.Reader, io.Writer, error) {
		fmt.Fprintf(cmd.ErrOrStderr(), "the console of %s by %s; leave it with ~. at the beginning of a line\n", cmp.Or(m.Hostname, string(m.MAC)), m.Spec.Power.ConsoleKind())
		if f, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			raw, err := rawTerminal(f)
			if err != nil {
				return nil, nil, err
			}
			restore = raw
		}
		return &escapes{in: bufio.NewReader(cmd.InOrStdin())}, cmd.OutOrStdout(), nil
	})
}

// rawTerminal has a terminal pass on each key as it is. Restore takes that back.
func rawTerminal(f *os.File) (restore func() error, err error) {
	before, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("have the terminal pass on all keys: %w", err)
	}
	return func() error {
		if err := term.Restore(int(f.Fd()), before); err != nil {
			return fmt.Errorf("restore the terminal: %w; `reset` does it", err)
		}
		return nil
	}, nil
}

// escape is what a person types at the beginning of a line to leave with a full stop.
const escape = '~'

// escapes reads what a person types, and ends with [api.ErrLeft] where they leave.
type escapes struct {
	in *bufio.Reader
	// inLine says that the line has begun, and held that an escape was typed, which is
	// not passed on yet.
	inLine, held bool
}

// Read implements [io.Reader]. It returns what was typed at once.
func (e *escapes) Read(p []byte) (n int, err error) {
	for n+1 < len(p) && (n == 0 || e.in.Buffered() > 0) { // a key may become two bytes
		key, err := e.in.ReadByte()
		if err != nil {
			if e.held {
				p[n], e.held = escape, false
				n++
			}
			return n, err
		}
		switch {
		case e.held && key == '.':
			return n, api.ErrLeft
		case e.held:
			e.held = false
			if p[n] = escape; key != escape {
				p[n+1] = key
				n++
			}
			n++
		case key == escape && !e.inLine:
			e.held = true
		default:
			p[n] = key
			n++
		}
		e.inLine = key != '\r' && key != '\n'
	}
	return n, nil
}

// watchAgent shows what the agent on a machine says, as the server gets it.
func watchAgent(cmd *cobra.Command, c *api.Client, m api.Detail) error {
	name := cmp.Or(m.Hostname, string(m.MAC))
	fmt.Fprintf(cmd.ErrOrStderr(), "the file of %s names no console (\"power\" with \"ipmi\" or \"console\"): this is what its installer says while it runs, from now on; it is in the stage %q\n", name, m.Stage)
	var last uint64
	if events, err := c.Events(cmd.Context(), string(m.MAC), 0, 1); err != nil {
		return err
	} else if len(events) > 0 {
		last = events[0].ID
	}
	return followAgent(cmd.Context(), c, m.MAC, last, printing.Text(cmd))
}

// followAgent writes what an agent says after an event, a line each.
func followAgent(ctx context.Context, c *api.Client, mac provision.MAC, last uint64, w io.Writer) error {
	return c.Follow(ctx, string(mac), last, func(e provision.Event) error {
		if !saidByAgent(e.Kind) {
			return nil
		}
		text := strings.TrimPrefix(e.Text, provision.ConsolePrefix)
		if e.Progress != nil {
			text += " " + e.Progress.String()
		}
		if e.Reason != "" {
			text += " (" + e.Reason + ")"
		}
		_, err := fmt.Fprintln(w, text)
		return err
	})
}

// saidByAgent says whether events of a kind tell what an agent does.
func saidByAgent(kind provision.Kind) bool {
	switch kind {
	case provision.KindClaim, provision.KindPlan, provision.KindStage, provision.KindProgress, provision.KindLog, provision.KindFailed, provision.KindDone:
		return true
	}
	return false
}
