package ask_test

import (
	"errors"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/web/api"
)

// TestNoDaemon: a script can tell a server that does not run from an order that failed, and a
// person reads how to start it.
func TestNoDaemon(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none")
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	run := ask.Daemon(&socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
		if strings.Join(args, " ") != "web1 web2" {
			t.Errorf("the verb gets %q", args)
		}
		_, err := c.Names(cmd.Context())
		return err
	})
	err := run(cmd, []string{"web1", "web2"})
	if coded, ok := errors.AsType[exit.Error](err); !ok || coded.Code != exit.NoDaemon || !strings.Contains(err.Error(), socket) || !strings.Contains(err.Error(), "cloudlets serve") {
		t.Errorf("the error is %v", err)
	}
}

// TestAFailureHasNoCodeOfItsOwn, and neither has success.
func TestAFailureHasNoCodeOfItsOwn(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none")
	for _, want := range []error{nil, errors.New("no machine is called web")} {
		err := ask.Daemon(&socket, func(*cobra.Command, *api.Client, []string) error { return want })(&cobra.Command{}, nil)
		if _, coded := errors.AsType[exit.Error](err); coded || !errors.Is(err, want) {
			t.Errorf("the error is %v, want %v", err, want)
		}
	}
}

// TestCaller: the trace names the person, and not root, as whom sudo runs the command.
func TestCaller(t *testing.T) {
	t.Setenv("SUDO_USER", "ann")
	if got := ask.Caller(); got != "ann" {
		t.Errorf("with sudo it is %q", got)
	}
	t.Setenv("SUDO_USER", "")
	want := "the command line"
	if u, err := user.Current(); err == nil {
		want = u.Username
	}
	if got := ask.Caller(); got != want {
		t.Errorf("without sudo it is %q, want %q", got, want)
	}
}
