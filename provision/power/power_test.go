package power

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestSecretIsNeverShown: a secret shows in no format, in no log and no JSON, nor in an
// error that repeats it.
func TestSecretIsNeverShown(t *testing.T) {
	const password = "hunter2"
	s := NewSecret(password)
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("it", "secret", s, "in", struct{ S Secret }{s})
	}
	text, err := json.Marshal(struct{ S Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	redactedErr := s.Redact(fmt.Errorf("401 for admin:%s: %w", password, context.DeadlineExceeded), context.DeadlineExceeded)
	shown := []string{log.String(), string(text), redactedErr.Error(), fmt.Sprintf("%+v", struct{ S *Secret }{&s})}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown = append(shown, fmt.Sprintf(verb, s), fmt.Sprintf(verb, struct{ S Secret }{s}))
	}
	for _, text := range shown {
		if strings.Contains(text, password) || strings.Contains(text, fmt.Sprintf("%x", password)) {
			t.Errorf("it shows: %s", text)
		}
	}
	if !errors.Is(redactedErr, context.DeadlineExceeded) {
		t.Error("what the error was is lost")
	}
	if s.Reveal() != password {
		t.Error("the secret is lost")
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]State{"on\n": IsOn, " OFF \nmore": IsOff, "": Unknown, "only": Unknown} {
		if got := ParseState(text); got != want {
			t.Errorf("%q is %s, not %s", text, got, want)
		}
	}
	if _, err := ParseAction("shutdown"); err == nil {
		t.Error("a person can order what only controllers do")
	}
}
