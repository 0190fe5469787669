package dhcptest

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Log is a log that several goroutines write.
type Log struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed at the next write
}

// Write adds to the log.
func (b *Log) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grown != nil {
		close(b.grown)
		b.grown = nil
	}
	return b.text.Write(p)
}

// Lines are the log's lines that have a text in them.
func (b *Log) Lines(text string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines(text)
}

func (b *Log) lines(text string) []string {
	return slices.DeleteFunc(strings.Split(b.text.String(), "\n"), func(line string) bool { return !strings.Contains(line, text) })
}

// Await waits until a line has a text in it. A goroutine that works ahead of the test's
// own may write that line later than the test sees what the line is about.
func (b *Log) Await(t testing.TB, text string) {
	t.Helper()
	for {
		b.mu.Lock()
		if len(b.lines(text)) > 0 {
			b.mu.Unlock()
			return
		}
		if b.grown == nil {
			b.grown = make(chan struct{})
		}
		grown := b.grown
		b.mu.Unlock()
		select {
		case <-grown:
		case <-t.Context().Done():
			t.Fatalf("no line of the log has %q in it", text)
		}
	}
}

// Logger writes to the log.
func (b *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
