package boot

import "testing"

// TestJoinWords: what is for the kernel stays for it, what is for the first
// program comes last, and quotes are left alone.
func TestJoinWords(t *testing.T) {
	for _, c := range []struct {
		parts []string
		want  string
	}{
		{nil, ""},
		{[]string{" a  b ", "", "c"}, "a b c"},
		{[]string{"a -- single", "console=ttyS0"}, "a console=ttyS0 -- single"},
		{[]string{"a -- x", "b -- y z"}, "a b -- x y z"},
		{[]string{`a="x  --  y" -- "s  t"`, "b"}, `a="x  --  y" b -- "s  t"`},
		{[]string{"--"}, ""},
		{[]string{"-- -- x"}, "-- -- x"},
		{[]string{"a --b c--"}, "a --b c--"},
	} {
		if got := JoinWords(c.parts...); got != c.want {
			t.Errorf("%q: %q, want %q", c.parts, got, c.want)
		}
	}
}

// TestStartBy: the program takes the place of any other, and words for it stay.
func TestStartBy(t *testing.T) {
	for _, c := range []struct{ line, program, want, named string }{
		{"quiet", "/pre", "quiet init=/pre", ""},
		{"init=/bin/sh quiet -- single", "/pre", "quiet init=/pre -- single", "/bin/sh"},
		{"quiet -- init=/x", "/pre", "quiet init=/pre -- init=/x", ""},
		{"a", DefaultInit, "a", ""},
	} {
		if got, named := StartBy(c.line, c.program); got != c.want || named != c.named {
			t.Errorf("%q: %q and %q, want %q and %q", c.line, got, named, c.want, c.named)
		}
	}
}
