package process1

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestConsoleThatBlocks: a terminal that nobody reads does not stop who writes to it, and
// the others get everything.
func TestConsoleThatBlocks(t *testing.T) {
	controller, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer controller.Close()
	number, err := unix.IoctlGetInt(int(controller.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(controller.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	blocked, err := openConsole(fmt.Sprintf("/dev/pts/%d", number))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(int(blocked))
	var other bytes.Buffer
	both := consoles{blocked, &other}
	written := make(chan struct{})
	go func() {
		defer close(written)
		for range 1000 {
			both.Write(bytes.Repeat([]byte("a line\n"), 100))
		}
	}()
	select {
	case <-written:
	case <-time.After(30 * time.Second): // ends a test that hangs
		t.Fatal("who writes waits for the terminal")
	}
	if other.Len() != 700_000 {
		t.Errorf("the other console got %d bytes", other.Len())
	}
}
