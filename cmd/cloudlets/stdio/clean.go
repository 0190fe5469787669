package stdio

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes a text of several lines safe for a terminal: what has no picture,
// such as the control characters by which a file's name could change the
// terminal, becomes a question mark. Line ends and tabs stay.
func Clean(text string) string {
	if isPlain(text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(text, "?"))
}

// isPlain says whether a text is ASCII with nothing to clean, as large tables mostly are.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\n' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}

// CleanWriter is a writer that cleans what goes through it.
type CleanWriter struct {
	W io.Writer

	part []byte // the beginning of a character
}

// Write cleans and passes on. It keeps back a character that is not complete.
func (c *CleanWriter) Write(p []byte) (int, error) {
	text := append(c.part, p...)
	end := len(text)
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if start := len(text) - back; utf8.RuneStart(text[start]) {
			if !utf8.FullRune(text[start:]) {
				end = start
			}
			break
		}
	}
	c.part = append([]byte(nil), text[end:]...)
	if _, err := io.WriteString(c.W, Clean(string(text[:end]))); err != nil {
		return 0, err
	}
	return len(p), nil
}
