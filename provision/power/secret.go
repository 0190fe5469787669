package power

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// hidden stands in texts where a secret would be.
const hidden = "[secret]"

// Secret is a password. However it is printed, logged or marshalled, it shows as
// "[secret]"; only [Secret.Reveal] returns it.
type Secret struct{ text string }

// NewSecret makes a secret of a text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the secret itself, for the protocol that sends it.
func (s Secret) Reveal() string { return s.text }

// IsZero says whether there is no secret.
func (s Secret) IsZero() bool { return s.text == "" }

// Format implements [fmt.Formatter], for every verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// MarshalJSON implements [json.Marshaler].
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// Redact returns an error with the same text, in which the secret is hidden: what a
// controller answers may repeat what it was sent. Of the errors that err wraps, only
// the sentinels in keep are still found by [errors.Is].
func (s Secret) Redact(err error, keep ...error) error {
	if err == nil || s.text == "" || !strings.Contains(err.Error(), s.text) {
		return err
	}
	r := redacted{text: strings.ReplaceAll(err.Error(), s.text, hidden)}
	for _, sentinel := range keep {
		if errors.Is(err, sentinel) {
			r.kept = append(r.kept, sentinel)
		}
	}
	return r
}

// redacted is an error without a secret. It does not wrap the one that had it.
type redacted struct {
	text string
	kept []error
}

func (r redacted) Error() string   { return r.text }
func (r redacted) Unwrap() []error { return r.kept }
