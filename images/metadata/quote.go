package metadata

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quote writes a word as UTF-8 text without spaces or newlines. Like mtree(5)
// it writes any other byte as a backslash and three octal digits. also lists
// more characters to escape in this way.
func quote(s, also string) string {
	if isPlain(s, also) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if readable(r, n, also) {
			b.WriteString(s[i : i+n])
		} else {
			for _, c := range []byte(s[i : i+n]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		}
		i += n
	}
	return b.String()
}

// isPlain is a fast test that is true for nearly every path: nothing needs to
// be escaped.
func isPlain(s, also string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '\\' || strings.IndexByte(also, c) >= 0 {
			return false
		}
	}
	return true
}

func readable(r rune, n int, also string) bool {
	if r == utf8.RuneError && n == 1 || r == ' ' || r == '\\' {
		return false
	}
	return unicode.IsPrint(r) && !strings.ContainsRune(also, r)
}

var errQuoting = errors.New(`a backslash is not followed by three octal digits`)

// unquote reverses quote.
func unquote(s string) (string, error) {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s, nil
	}
	var b strings.Builder
	for ; i >= 0; i = strings.IndexByte(s, '\\') {
		b.WriteString(s[:i])
		if len(s) < i+4 {
			return "", errQuoting
		}
		c, ok := octal(s[i+1 : i+4])
		if !ok {
			return "", errQuoting
		}
		b.WriteByte(c)
		s = s[i+4:]
	}
	b.WriteString(s)
	return b.String(), nil
}

func octal(digits string) (byte, bool) {
	n := 0
	for _, d := range []byte(digits) {
		if d < '0' || d > '7' {
			return 0, false
		}
		n = n<<3 | int(d-'0')
	}
	return byte(n), n <= 0xff
}
