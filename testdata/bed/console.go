package bed

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
)

// Console is a machine's serial console: everything that it printed, with
// the terminal's control sequences taken out.
type Console struct {
	in io.Writer

	mu     sync.Mutex
	text   strings.Builder
	more   chan struct{} // closed and replaced whenever text grows
	closed chan struct{}
}

func newConsole(out io.Reader, in io.Writer) *Console {
	c := &Console{in: in, more: make(chan struct{}), closed: make(chan struct{})}
	go c.read(out)
	return c
}

// escapes are control sequences of a terminal (ECMA-48), and what firmware
// prints to draw its screens.
var escapes = regexp.MustCompile("\x1b(\\[[0-9;?=]*[A-Za-z]|[()][A-Z0-9]|[=>c78])|\r|\x00")

func (c *Console) read(out io.Reader) {
	defer close(c.closed)
	buf := make([]byte, 4096)
	for {
		n, err := out.Read(buf)
		c.mu.Lock()
		c.text.Write(buf[:n])
		close(c.more)
		c.more = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Text is everything that was printed so far.
func (c *Console) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return escapes.ReplaceAllString(c.text.String(), "")
}

// Tail is the last lines that were printed, for error messages.
func (c *Console) Tail() string {
	lines := strings.Split(strings.TrimSpace(c.Text()), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}

// Expect waits until the machine has printed what matches, from its start on,
// partial lines included: prompts have no newline. It ends early when the
// machine prints what one of the failures matches, or goes off.
func (c *Console) Expect(ctx context.Context, want *regexp.Regexp, failures ...*regexp.Regexp) (string, error) {
	for {
		c.mu.Lock()
		more := c.more
		c.mu.Unlock()
		text := c.Text()
		if found := want.FindString(text); found != "" {
			return found, nil
		}
		for _, failure := range failures {
			if found := failure.FindString(text); found != "" {
				return "", fmt.Errorf("the machine printed %q while %q was expected; its console ends:\n%s", found, want, c.Tail())
			}
		}
		select {
		case <-more:
		case <-c.closed:
			if want.MatchString(c.Text()) {
				continue
			}
			return "", fmt.Errorf("the machine went off before it printed %q; its console ends:\n%s", want, c.Tail())
		case <-ctx.Done():
			return "", fmt.Errorf("%w while waiting for %q; the console ends:\n%s", ctx.Err(), want, c.Tail())
		}
	}
}

// Type sends text to the machine.
func (c *Console) Type(text string) error {
	_, err := io.WriteString(c.in, text)
	return err
}

func hasVirtualisation(cpuinfo string) bool {
	for line := range strings.Lines(cpuinfo) {
		if strings.HasPrefix(line, "flags") {
			fields := strings.Fields(line)
			for _, f := range fields {
				if f == "vmx" || f == "svm" {
					return true
				}
			}
			return false
		}
	}
	return false
}
