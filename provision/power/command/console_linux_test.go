package command

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestConsole: a program has what a person types, and shows what it likes. It ends when
// the person leaves, and its exit code is told if it ends first.
func TestConsole(t *testing.T) {
	c := program(t, `echo "$CLOUDLETS_ACTION of $CLOUDLETS_HOSTNAME $1"; read -r line; echo "got $line" >&2; exec /bin/sleep 1000`)
	console := &Console{c.Command, c.MAC, c.Hostname}
	in, typed := io.Pipe()
	shown, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- console.Join(t.Context(), func() (io.Reader, io.Writer, error) { return in, out, nil })
	}()
	lines := bufio.NewReader(shown)
	if got, _ := lines.ReadString('\n'); got != "console of node1 a b\n" {
		t.Errorf("it showed %q", got)
	}
	go io.WriteString(typed, "hello\n")
	if got, _ := lines.ReadString('\n'); got != "got hello\n" {
		t.Errorf("it showed %q", got)
	}
	typed.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	never, _ := io.Pipe()
	for script, want := range map[string]string{"exit 0": "", "exit 3": "exit status 3"} {
		c := program(t, script)
		err := (&Console{c.Command, c.MAC, c.Hostname}).Join(t.Context(), func() (io.Reader, io.Writer, error) { return never, io.Discard, nil })
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "$HOME")) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

// TestConsoleThatIsNot: the person is not told that a console is open whose program cannot
// be started, and one that is broken off ends its program.
func TestConsoleThatIsNot(t *testing.T) {
	err := (&Console{Command: []string{"/no/such/program", "hunter2"}}).Join(t.Context(), func() (io.Reader, io.Writer, error) {
		t.Error("it is said to be open")
		return strings.NewReader(""), io.Discard, nil
	})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := program(t, "exec /bin/sleep 1000")
	never, _ := io.Pipe()
	err = (&Console{Command: c.Command}).Join(ctx, func() (io.Reader, io.Writer, error) { cancel(); return never, io.Discard, nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	refused := errors.New("the person is gone")
	err = (&Console{Command: c.Command}).Join(t.Context(), func() (io.Reader, io.Writer, error) { return nil, nil, refused })
	if !errors.Is(err, refused) {
		t.Error(err)
	}
}
