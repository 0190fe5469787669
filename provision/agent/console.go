package agent

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"cloudlets/provision"
)

// console writes what a person in front of the machine sees.
type console struct {
	mu       sync.Mutex
	out      io.Writer
	progress time.Time
}

// openConsole returns the kernel's console. The kernel makes it the standard
// output of process 1 if the RAM disk has its device file.
func openConsole() *console { return &console{out: os.Stdout} }

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(b)
}

func (c *console) say(format string, args ...any) {
	fmt.Fprintf(c, "cloudlets: "+format+"\n", args...)
}

func (c *console) fail(err error) {
	fmt.Fprintf(c, "\ncloudlets: FAILED: %v\n\n", err)
}

// event shows an event that also goes to the server. It shows progress every
// few seconds, as a line of its own, since a serial console cannot show a bar
// well.
func (c *console) event(e provision.Event) {
	if e.Kind != provision.KindProgress {
		c.say("%s", strings.TrimSuffix(e.Text+" ("+e.Reason+")", " ()"))
		return
	}
	c.mu.Lock()
	due := time.Since(c.progress) > 3*time.Second
	if due {
		c.progress = time.Now()
	}
	c.mu.Unlock()
	if due && e.Progress != nil {
		c.say("  %s", e.Progress)
	}
}
