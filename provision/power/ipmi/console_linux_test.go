package ipmi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"cloudlets/provision/power"
	"cloudlets/testdata/ipmi"
)

// serial is a machine's serial port behind the simulator: the far end of its TCP
// connection.
func serial(t *testing.T) (l net.Listener, line string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, fmt.Sprintf("  sol \"tcp:127.0.0.1:%d\" 115200\n", l.Addr().(*net.TCPAddr).Port)
}

// session is a person on a console.
type session struct {
	typed *io.PipeWriter
	shown *bufio.Reader
	ended chan error
}

func join(t *testing.T, ctx context.Context, c *Controller) *session {
	t.Helper()
	in, typed := io.Pipe()
	shown, out := io.Pipe()
	s := &session{typed, bufio.NewReader(shown), make(chan error, 1)}
	ready := make(chan struct{})
	go func() {
		s.ended <- c.Join(ctx, func() (io.Reader, io.Writer, error) { close(ready); return in, out, nil })
		out.Close()
	}()
	select {
	case <-ready:
	case err := <-s.ended:
		t.Fatal(err)
	}
	return s
}

// TestConsole: what a person types comes to the serial port of a controller that is not
// ours, and what the port sends to the person; one person at a time, and another after
// that.
func TestConsole(t *testing.T) {
	port, line := serial(t)
	at := ipmi.Start(t, ipmi.Options{Lines: line}).Port
	c := New(Config{Host: "127.0.0.1", Port: at, User: "admin", Password: power.NewSecret(ipmi.Password)})
	machine, err := port.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer machine.Close()

	s := join(t, t.Context(), c)
	fromPerson := bufio.NewReader(machine)
	if _, err := io.WriteString(s.typed, "root\r"); err != nil {
		t.Fatal(err)
	}
	if got, err := fromPerson.ReadString('\r'); err != nil || got != "root\r" {
		t.Errorf("the machine got %q (%v)", got, err)
	}
	long := strings.Repeat("\x1b[1m0123456789", 200) + "\n"
	go io.WriteString(machine, long)
	if got, err := s.shown.ReadString('\n'); err != nil || got != long {
		t.Errorf("the person saw %q (%v)", got, err)
	}

	err = New(c.Config).Join(t.Context(), func() (io.Reader, io.Writer, error) {
		t.Error("two have the same console")
		return strings.NewReader(""), io.Discard, nil
	})
	if err == nil || !strings.Contains(err.Error(), "somebody has it open already") {
		t.Errorf("the second person was told: %v", err)
	}
	s.typed.Close()
	if err := <-s.ended; err != nil {
		t.Errorf("the person left: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s = join(t, ctx, c)
	cancel()
	if err := <-s.ended; err == nil {
		t.Error("a console that was broken off ended well")
	}
}

// TestNoConsole: a controller without Serial over LAN says so, and what to look at.
func TestNoConsole(t *testing.T) {
	at := ipmi.Start(t, ipmi.Options{}).Port
	c := New(Config{Host: "127.0.0.1", Port: at, User: "admin", Password: power.NewSecret(ipmi.Password)})
	err := c.Join(t.Context(), func() (io.Reader, io.Writer, error) {
		t.Error("it is said to be open")
		return strings.NewReader(""), io.Discard, nil
	})
	if err == nil || !strings.Contains(err.Error(), "is Serial over LAN on there") || strings.Contains(err.Error(), ipmi.Password) {
		t.Error(err)
	}
}
