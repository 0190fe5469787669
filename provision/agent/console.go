package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/wire"
)

// console writes what a person in front of the machine sees.
type console struct {
	mu       sync.Mutex
	out      io.Writer
	progress time.Time
	// kept are the latest lines that the server was not told yet. While the agent has
	// a session, its events go to the server instead, and mute is set.
	kept    []string
	partial string // of the line that is being written
	mute    bool
}

// openConsole returns the kernel's console. The kernel makes it the standard
// output of process 1 if the RAM disk has its device file.
func openConsole() *console { return &console{out: os.Stdout} }

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mute {
		c.keep(string(b))
	}
	return c.out.Write(b)
}

// keep keeps the lines of a text. The caller holds mu.
func (c *console) keep(text string) {
	text = c.partial + text
	for {
		line, rest, ended := strings.Cut(text, "\n")
		if !ended {
			c.partial = text[:min(len(text), wire.MaxConsoleLine)]
			return
		}
		if text = rest; strings.TrimSpace(line) == "" {
			continue
		}
		if len(c.kept) == wire.MaxConsoleLines {
			c.kept = c.kept[1:]
		}
		c.kept = append(c.kept, line[:min(len(line), wire.MaxConsoleLine)])
	}
}

// take returns the lines that the server was not told, and forgets them.
func (c *console) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.kept
	c.kept = nil
	return lines
}

// setMute says whether the server is told by other means what the console shows.
func (c *console) setMute(mute bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute = mute
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

// sendConsole tells the server what the console has shown, and why the agent cannot
// claim its plan, if it cannot. It does so before the token is claimed.
func sendConsole(ctx context.Context, server *client.Client, p wire.Params, console *console, failure error, log *slog.Logger) {
	said := wire.Console{Token: p.Token, MAC: p.MAC, Lines: console.take()}
	if failure != nil {
		said.Failure = failure.Error()
	}
	if err := server.Tell(ctx, wire.ConsolePath, said); err != nil {
		log.Warn("the server was not told what this console shows", "error", err)
	}
}
