package printing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
)

// verb is a command, and what it prints.
func verb(ctx context.Context) (*cobra.Command, *bytes.Buffer) {
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetContext(ctx)
	cmd.SetOut(&out)
	return cmd, &out
}

type machine struct {
	Hostname string
}

func line(w io.Writer, m machine) { fmt.Fprintf(w, "%s\tready\n", m.Hostname) }

// TestAnswersAreSafeForATerminal: a machine that calls itself by an escape sequence changes
// nothing on the screen of who looks at it. JSON is for programs, and says what it is.
func TestAnswersAreSafeForATerminal(t *testing.T) {
	answer := machine{"\x1b[2J<web> & \u202e東京"}
	cmd, out := verb(t.Context())
	if err := printing.Answer(cmd, false, answer, nil, line); err != nil || out.String() != "?[2J<web> & ?東京\tready\n" {
		t.Errorf("as text: %q, %v", out, err)
	}
	cmd, out = verb(t.Context())
	err := printing.Answer(cmd, true, answer, nil, line)
	var got machine
	if err := errors.Join(err, json.Unmarshal(out.Bytes(), &got)); err != nil || got != answer {
		t.Errorf("as JSON: %q, %v", out, err)
	}
	if text := out.String(); strings.Contains(text, "\x1b") || !strings.Contains(text, "<web> & ") || !strings.HasPrefix(text, "{\n  \"") || !strings.HasSuffix(text, "\n}\n") {
		t.Errorf("as JSON: %q", text)
	}
}

// TestAnErrorPrintsNoAnswer: a program that reads the output gets no empty answer.
func TestAnErrorPrintsNoAnswer(t *testing.T) {
	failed := errors.New("no machine is called web")
	for _, asJSON := range []bool{true, false} {
		cmd, out := verb(t.Context())
		if err := printing.Answer(cmd, asJSON, machine{}, failed, line); !errors.Is(err, failed) || out.Len() > 0 {
			t.Errorf("it prints %q, %v", out, err)
		}
	}
}

// TestRawKeepsAText, with one end of line, whichever it had.
func TestRawKeepsAText(t *testing.T) {
	for _, ending := range []string{"", "\n", "\r\n", " \n\n"} {
		var out bytes.Buffer
		if err := printing.Raw(&out, json.RawMessage(`{"b": 1,  "a": "<"}`+ending)); err != nil || out.String() != `{"b": 1,  "a": "<"}`+"\n" {
			t.Errorf("with %q: %q, %v", ending, out.String(), err)
		}
	}
}

// TestWatchPrintsOverItself: each page begins where the last one did, what is below is erased,
// and what the page says is safe for a terminal. It ends when a person ends it, which is no
// error.
func TestWatchPrintsOverItself(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	cmd, out := verb(ctx)
	if err := printing.Watch(cmd, func(w io.Writer) error {
		end()
		_, err := io.WriteString(w, "\x1b]0;owned\aweb\n")
		return err
	}); err != nil || out.String() != "\x1b[H\x1b[J?]0;owned?web\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestWatchEndsWithAnError, and then what was there before stays on the screen.
func TestWatchEndsWithAnError(t *testing.T) {
	failed := errors.New("the daemon was stopped")
	cmd, out := verb(t.Context())
	if err := printing.Watch(cmd, func(w io.Writer) error { _, _ = io.WriteString(w, "half"); return failed }); !errors.Is(err, failed) || out.Len() > 0 {
		t.Errorf("%q, %v", out, err)
	}
}

// TestTimes are those of this computer's zone, with its name, and "-" is none.
func TestTimes(t *testing.T) {
	was := time.Local
	defer func() { time.Local = was }()
	time.Local = time.FixedZone("CET", 3600)
	if got := printing.Clock(time.Date(2026, 12, 31, 23, 30, 5, 999, time.UTC)); got != "2027-01-01 00:30:05 CET" {
		t.Errorf("the clock says %s", got)
	}
	if got := printing.Since(time.Time{}); got != "-" {
		t.Errorf("since never: %s", got)
	}
	const ago = 26*time.Hour + 400*time.Millisecond
	if got, err := time.ParseDuration(printing.Since(time.Now().Add(-ago))); err != nil || got < 26*time.Hour || got%time.Second != 0 {
		t.Errorf("since %v: %v, %v", ago, got, err)
	}
	if a, b := printing.Dash(""), printing.Dash("web"); a != "-" || b != "web" {
		t.Errorf("%s, %s", a, b)
	}
}

// TestWarningsStandApart from the list above them, each by itself.
func TestWarningsStandApart(t *testing.T) {
	var out bytes.Buffer
	out.WriteString("web1\n")
	printing.Warnings(&out, []string{"one", "two"})
	if out.String() != "web1\n\none\n\ntwo\n" {
		t.Errorf("%q", out.String())
	}
}

// TestLogs: a log that is not for a terminal has no colours, and what is for debugging only
// when that is asked for.
func TestLogs(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		for _, verbose := range []bool{false, true} {
			var out bytes.Buffer
			log, err := printing.NewLogger(&out, format, verbose)
			if err != nil {
				t.Fatal(err)
			}
			log.Debug("looked", "at", "disk")
			log.Warn("the disk is \x1b[31mfull", "free", 0)
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if want := map[bool]int{false: 1, true: 2}[verbose]; len(lines) != want || strings.Contains(out.String(), "\x1b") || !strings.Contains(lines[len(lines)-1], "WARN") {
				t.Errorf("%s, verbose %t: %q", format, verbose, lines)
			}
			for _, line := range lines {
				if json.Valid([]byte(line)) != (format == "json") {
					t.Errorf("%s: %q", format, line)
				}
			}
		}
	}
	_, err := printing.NewLogger(io.Discard, "xml", false)
	if coded, ok := errors.AsType[exit.Error](err); !ok || coded.Code != exit.Usage || !strings.Contains(err.Error(), `"xml"`) || !strings.Contains(err.Error(), "want text or json") {
		t.Errorf("the error is %v", err)
	}
}
