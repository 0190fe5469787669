package printing

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/lmittmann/tint"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/stdio"
)

// NewLogger writes a log as JSON or as text.
func NewLogger(w io.Writer, format string, verbose bool) (*slog.Logger, error) {
	switch format {
	case "text":
		return TextLogger(w, verbose), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: logLevel(verbose)})), nil
	}
	return nil, exit.With(fmt.Errorf("--log-format: %q is no form of a log; want text or json", format), exit.Usage)
}

// TextLogger writes a log for people if w is a terminal, and plain lines if not.
func TextLogger(w io.Writer, verbose bool) *slog.Logger {
	if stdio.IsTerminal(w) {
		return slog.New(tint.NewHandler(w, &tint.Options{Level: logLevel(verbose), TimeFormat: "15:04:05"}))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: logLevel(verbose)}))
}

func logLevel(verbose bool) slog.Level {
	if verbose {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
