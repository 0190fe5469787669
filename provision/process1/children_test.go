package process1

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestChildrenAreReaped: a child's status is told, and an orphan does not stay a zombie.
func TestChildrenAreReaped(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil { // as process 1 is
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
	var c Children
	go c.Reap(t.Context())
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd := exec.Command("sh", "-c", "sh -c 'echo $$; kill -STOP $$' & exit 3")
	cmd.Stdout = write
	status, err := c.Run(cmd)
	if write.Close(); err != nil || status.ExitStatus() != 3 {
		t.Fatalf("the child ended with %v (%v)", status, err)
	}
	pid, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(exec.Command("sh", "-c", "kill -KILL "+strings.TrimSpace(pid)+"; while kill -0 "+strings.TrimSpace(pid)+"; do sleep 0.01; done")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Start(exec.Command("/nothing/there")); err == nil {
		t.Error("a program that is not there was started")
	}
}
