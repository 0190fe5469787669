package dialect

import (
	"strings"
	"testing"
)

// FuzzPlain: no text becomes a command of iPXE's.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{"a\nshell", "${x}", "&& reboot", "# x", "\xff\x00é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		script := IPXE{}.Leave(text)
		if n := strings.Count(script, "\n"); n != 4 {
			t.Errorf("%q makes a script of %d lines:\n%s", text, n, script)
		}
		echo := strings.Split(script, "\n")[1]
		if strings.ContainsAny(echo, "$&|#") {
			t.Errorf("%q is not plain: %q", text, echo)
		}
	})
}
