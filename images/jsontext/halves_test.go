package jsontext

import (
	"strings"
	"testing"
)

// TestHalfOfCharacter: half of a character is refused, since it would silently
// become another one.
func TestHalfOfCharacter(t *testing.T) {
	for text, refused := range map[string]bool{
		`{"a": "\ud800"}`: true, `{"a": "x\udc00y"}`: true, `{"\uD83D": 1}`: true, `["\ud83d\ud83d\ude00"]`: true,
		`{"a": "\ud83d\ude00"}`: false, `{"a": "\\ud800"}`: false, `["\u00e4"]`: false,
	} {
		_, problems := Parse("c", []byte(text))
		if refused != (problems != nil) || refused && !strings.Contains(problems.Err().Error(), "half of a character") {
			t.Errorf("%s: %v, want it refused: %t", text, problems, refused)
		}
	}
}
