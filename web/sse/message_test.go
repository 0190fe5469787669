package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func readAll(text string) (messages []Message, err error) {
	r := NewReader(strings.NewReader(text))
	for {
		m, err := r.Next()
		if err != nil {
			return messages, err
		}
		messages = append(messages, m)
	}
}

func TestMessages(t *testing.T) {
	for text, want := range map[string]string{
		"data: a\n\n":                         "||a;",
		"id: 7\nevent: x\ndata:a\n\n":         "7|x|a;",
		"id:7\r\ndata: a\r\ndata: b\r\n\r\n":  "7||a\nb;",
		":\n\nretry: 5\n\ndata: a\n\n":        "||a;",
		"id: 7\n\ndata: a\n\n":                "||a;",
		"data: a\n\nid: 8\ndata: cut":         "||a;",
		"data:  two spaces\nunknown: x\n\n":   "|| two spaces;",
		"data\n\n":                            "||;",
		"data: a\n\n\n\ndata: b\n\n: comment": "||a;||b;",
	} {
		messages, err := readAll(text)
		var got strings.Builder
		for _, m := range messages {
			fmt.Fprintf(&got, "%s|%s|%s;", m.ID, m.Name, m.Data)
		}
		if got.String() != want || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %q, %v; want %q", text, got.String(), err, want)
		}
	}
}

func TestMessagesAreBounded(t *testing.T) {
	long := strings.Repeat("x", maxMessage)
	many := strings.Repeat("data: "+long[:1000]+"\n", maxMessage/1000)
	for _, text := range []string{"data: " + long + "\n\n", many + "\n"} {
		if messages, err := readAll(text); !errors.Is(err, errTooLong) {
			t.Errorf("%d messages, %v", len(messages), err)
		}
	}
}

// FuzzMessages: what is read, written and read again is the same.
func FuzzMessages(f *testing.F) {
	f.Add("id: 7\nevent: x\ndata: a\ndata: b\n\n")
	f.Add(":\r\n\r\ndata\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		first, _ := readAll(text)
		var b strings.Builder
		for _, m := range first {
			fmt.Fprintf(&b, "id: %s\nevent: %s\n", m.ID, m.Name)
			for line := range bytes.SplitSeq(m.Data, []byte("\n")) {
				fmt.Fprintf(&b, "data: %s\n", line)
			}
			b.WriteString("\n")
		}
		again, _ := readAll(b.String())
		if fmt.Sprint(first) != fmt.Sprint(again) {
			t.Errorf("%q and then %q", first, again)
		}
	})
}
