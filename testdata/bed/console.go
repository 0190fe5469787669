package bed

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Console is a machine's serial console: everything that it printed, with
// the terminal's control sequences taken out.
type Console struct {
	in io.Writer

	mu     sync.Mutex
	lines  strings.Builder // all whole lines, without control sequences
	rest   []byte          // what was printed since, as it came
	more   chan struct{}   // closed and replaced whenever something is printed
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
		c.rest = append(c.rest, buf[:n]...)
		if end := bytes.LastIndexByte(c.rest, '\n') + 1; end > 0 { // no sequence has a newline in it
			c.lines.Write(escapes.ReplaceAll(c.rest[:end], nil))
			c.rest = append(c.rest[:0], c.rest[end:]...)
		}
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
	text, _, _ := c.printed()
	return text
}

// printed is everything that was printed so far, how much of it is whole lines, and a
// channel that is closed when there is more.
func (c *Console) printed() (text string, whole int, more <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines.String() + string(escapes.ReplaceAll(c.rest, nil)), c.lines.Len(), c.more
}

// Tail is the last lines that were printed, for error messages.
func (c *Console) Tail() string {
	lines := strings.Split(strings.TrimSpace(c.Text()), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}

// lookEvery is how often Expect looks at what a machine prints, at most. A serial console
// prints byte by byte. To search all of its text for each took as much processor time as
// the machine itself.
const lookEvery = 100 * time.Millisecond

// Expect waits until the machine has printed what matches, from its start on,
// partial lines included: prompts have no newline. It ends early when the
// machine prints a line that one of the failures matches, or goes off.
func (c *Console) Expect(ctx context.Context, want *regexp.Regexp, failures ...*regexp.Regexp) (string, error) {
	looked := 0 // failures were looked for in so much
	for {
		text, whole, more := c.printed()
		if found := want.FindString(text); found != "" {
			return found, nil
		}
		for _, failure := range failures {
			if found := failure.FindString(text[looked:]); found != "" {
				return "", fmt.Errorf("the machine printed %q while %q was expected; its console ends:\n%s", found, want, c.Tail())
			}
		}
		looked = whole
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
		select {
		case <-time.After(lookEvery):
		case <-c.closed:
		case <-ctx.Done():
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
