package stdio

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"plain\ttext\n":         "plain\ttext\n",
		"Zürich 東京":             "Zürich 東京",
		"\x1b[2J\x1b]0;owned\a": "?[2J?]0;owned?",
		"\u009b31m red":         "?31m red",
		"a\rb":                  "a?b",
		"\u202egnp.exe":         "?gnp.exe",
		"\xff\xfe":              "?",
	} {
		if got := Clean(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// FuzzCleanWriter: however a text is cut into writes, what comes out is safe, and
// a text that is safe comes out as it was.
func FuzzCleanWriter(f *testing.F) {
	f.Add("Zürich \x1b[2J", uint8(1))
	f.Add("東京\n", uint8(2))
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		var out bytes.Buffer
		w := &CleanWriter{W: &out}
		step := int(size%5) + 1
		for i := 0; i < len(text); i += step {
			piece := text[i:min(i+step, len(text))]
			if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
		}
		got := out.String()
		if Clean(got) != got {
			t.Errorf("%q comes out of %q", got, text)
		}
		if utf8.ValidString(text) && Clean(text) == text && got != text {
			t.Errorf("%q comes out of %q", got, text)
		}
		if strings.Count(got, "\n") != strings.Count(text, "\n") {
			t.Errorf("lines are lost: %q of %q", got, text)
		}
	})
}
