package pattern

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/dlclark/regexp2/v2"
)

func TestLiterals(t *testing.T) {
	for pattern, want := range map[string][2]string{
		"/tmp/.+": {"/tmp/", "/tmp/"}, "^/tmp$": {"/tmp", "/tmp"}, `/etc/\.pwd\.lock`: {"/etc/.pwd.lock", "/etc/.pwd.lock"},
		"/var/log/(?!apt).+": {"/var/log/", "/var/log/"}, `.*\.pyc$`: {"", ".pyc"}, ".*/__pycache__/.*": {"", "/__pycache__/"}, `/usr/.+\.mo`: {"/usr/", "/usr/"},
		"/a/b*": {"/a/", "/a/"}, "/a/b+": {"/a/b", "/a/b"}, "/a/b?cdef": {"/a/", "cdef"}, "/a/b{0,2}cdefg": {"/a/", "/a/"}, `/a/\.*b`: {"/a/", "/a/"},
		"/a|/b": {}, "/(a|b)/cd": {"/", "/cd"}, `/a\|b`: {"/a|b", "/a|b"}, "/x[|]y": {}, "/x[ab]yyyy": {"/x", "/x"}, `/a\d/bc`: {"/a", "/bc"}, `/a\x41bcd`: {"/a", "/a"},
		"(?i)/TMP": {}, "(?:/tmp)?/x": {"", "/x"}, "/größe/x": {"/gr", "/gr"}, "": {}, ".*": {},
	} {
		if prefix, part := literals(pattern); [2]string{prefix, part} != want {
			t.Errorf("%q begins with %q and has %q in it, want %q", pattern, prefix, part, want)
		}
	}
}

// TestScreeningChangesNoMatch compares screened patterns with the plain ones, on patterns and paths of few characters, so that many match.
func TestScreeningChangesNoMatch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(parts []string, n int) string {
		var b strings.Builder
		for range r.IntN(n) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		return b.String()
	}
	syntax := []string{"/", "a", "b", "ab", ".", "\\.", "*", "+", "?", "|", "(", ")", "(?!", "(?i)", "[", "[^", "]", "{", "{0,1}", "}", "^", "$", "\\", "\\/", "\\|", "\\d", "\\b", "\\x61", "\\u0062", "\\cA", "(?:", "(?=", "(?<!", "(?<n>", "\\1", "-", "ß", "\ufffd"}
	names := []string{"/", "a", "b", "ab", "A", ".", "|", "{", "}", "-", "ß", "\xff", "]", "1"}
	compiled, matched := 0, 0
	for range 800 {
		pattern := random(syntax, 7)
		if _, err := regexp2.Compile(pattern, regexp2.ECMAScript); err != nil {
			continue
		}
		screened, err := CompilePrefix(pattern)
		if err != nil {
			continue
		}
		re := regexp2.MustCompile("^(?:"+pattern+")", regexp2.ECMAScript)
		re.MatchTimeout = matchTimeout
		compiled++
		prefix, part := literals(pattern)
		for range 20 {
			p := prefix + random(names, 4)
			if r.IntN(3) == 0 {
				p = random(names, 5) + part + random(names, 2)
			}
			ok, err := re.MatchString(p)
			if ok {
				matched++
			}
			if fast := screened.MatchString(p); err == nil && fast != ok {
				t.Fatalf("pattern %q and path %q: %v by %q and %q, %v without", pattern, p, fast, prefix, part, ok)
			}
		}
	}
	if compiled < 100 || matched < 200 {
		t.Errorf("only %d patterns and %d matches: the test tests nothing", compiled, matched)
	}
}
