package dhcptest

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// Log is a log that several goroutines write.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to the log.
func (b *Log) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// Lines are the log's lines that have a text in them.
func (b *Log) Lines(text string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(strings.Split(b.text.String(), "\n"), func(line string) bool { return !strings.Contains(line, text) })
}

// Logger writes to the log.
func (b *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
