package exit_test

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
)

// TestACodeStaysWithItsError, however often that is wrapped, and changes nothing of it.
func TestACodeStaysWithItsError(t *testing.T) {
	coded := exit.With(fmt.Errorf("read site: %w", fs.ErrNotExist), exit.NoDaemon)
	if coded.Error() != "read site: file does not exist" || !errors.Is(coded, fs.ErrNotExist) {
		t.Errorf("it became %q", coded)
	}
	for _, err := range []error{coded, fmt.Errorf("show machines: %w", coded), errors.Join(errors.New("close image"), coded)} {
		if found, ok := errors.AsType[exit.Error](err); !ok || found.Code != exit.NoDaemon {
			t.Errorf("%q has the code %d", err, found.Code)
		}
	}
	outer := exit.With(fmt.Errorf("stop: %w", coded), exit.Interrupted)
	if found, _ := errors.AsType[exit.Error](outer); found.Code != exit.Interrupted {
		t.Errorf("the outer code counts, and it is %d", found.Code)
	}
}

// TestWrongArgumentsAreUsage, with the way to the help; right ones are no error.
func TestWrongArgumentsAreUsage(t *testing.T) {
	root := &cobra.Command{Use: "cloudlets"}
	cmd := &cobra.Command{Use: "disk IMAGE"}
	root.AddCommand(cmd)
	check := exit.ExactArgs(1)
	if err := check(cmd, []string{"image"}); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{nil, {"image", "more"}} {
		err := check(cmd, args)
		if found, ok := errors.AsType[exit.Error](err); !ok || found.Code != exit.Usage || !strings.HasSuffix(err.Error(), "; see `cloudlets disk --help`") {
			t.Errorf("%q: error %v", args, err)
		}
	}
}

// TestARefusalSaysWhatHelps: on which system a person is, and what to do about it.
func TestARefusalSaysWhatHelps(t *testing.T) {
	if got, want := exit.NeedsLinux("serving", "run it in a virtual machine").Error(), "serving needs Linux, and this is "+runtime.GOOS+": run it in a virtual machine"; got != want {
		t.Errorf("got %q", got)
	}
}
