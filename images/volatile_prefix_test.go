package images

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/dlclark/regexp2/v2"
)

func plain(re *regexp2.Regexp) pattern { return pattern{re} }

func TestLiteralPrefix(t *testing.T) {
	for pattern, want := range map[string]string{
		"/tmp/.+": "/tmp/", "^/tmp$": "/tmp", `/etc/\.pwd\.lock`: "/etc/.pwd.lock", "/var/log/(?!apt).+": "/var/log/",
		"/a/b*": "/a/", "/a/b+": "/a/b", "/a/b?c": "/a/", "/a/b{0,2}": "/a/", `/a/\.*b`: "/a/", "/a|/b": "", "/(a|b)/c": "/", `/a\|b`: "/a|b",
		"/x[|]y": "", "/x[ab]y": "/x", `/a\d`: "/a", ".*": "", "": "", "(?i)/TMP": "", "/größe/x": "/gr", `/a\/b`: "/a/b", "/a(?=|b)c": "/a",
	} {
		if got := literalPrefix(pattern); got != want {
			t.Errorf("prefix of %q is %q, want %q", pattern, got, want)
		}
	}
}

// TestPrefixesChangeNoMatch compares the way through prefixes with the plain
// one, on patterns and paths of few characters, so that many match.
func TestPrefixesChangeNoMatch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(parts []string, n int) string {
		var b strings.Builder
		for range r.IntN(n) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		return b.String()
	}
	syntax := []string{"/", "a", "b", "ab", ".", "\\.", "*", "+", "?", "|", "(", ")", "(?!", "(?i)", "[", "[^", "]", "{", "{0,1}", "}", "^", "$", "\\", "\\/", "\\|", "\\d", "\\b", "-", "ß", "\ufffd"}
	names := []string{"/", "a", "b", "ab", "A", ".", "|", "{", "}", "-", "ß", "\xff", "]", "1"}
	compiled, matched := 0, 0
	for range 5_000 {
		pattern := random(syntax, 7)
		if _, err := regexp2.Compile(pattern, regexp2.ECMAScript); err != nil {
			continue
		}
		re, err := regexp2.Compile("^(?:"+pattern+")", regexp2.ECMAScript)
		if err != nil {
			continue
		}
		re.MatchTimeout = matchTimeout
		compiled++
		prefix := literalPrefix(pattern)
		for range 20 {
			p := prefix + random(names, 4)
			if r.IntN(3) == 0 {
				p = random(names, 5)
			}
			ok, err := re.MatchString(p)
			if ok {
				matched++
			}
			if fast := (prefixed{prefix, plain(re)}).MatchString(p); err == nil && fast != ok {
				t.Fatalf("pattern %q and path %q: %v by the prefix %q, %v without", pattern, p, fast, prefix, ok)
			}
		}
	}
	if compiled < 500 || matched < 500 {
		t.Errorf("only %d patterns and %d matches: the test tests nothing", compiled, matched)
	}
}
