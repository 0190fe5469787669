package jsontext

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for name, tt := range map[string]struct {
		text             string
		strict, comments string // the place where it is refused, or ""
	}{
		"all kinds":               {`{"a": [1, -2.5e3, "x", true, false, null, {}, []]}`, "", ""},
		"a line comment":          {"{\n\"a\": 1 // one\n}", ":2:8: ", ""},
		"a comment before":        {"// x\n{}", ":1:1: ", ""},
		"a comment after":         {"{} /* x */", ":1:4: ", ""},
		"a comment in an array":   {"[ /* x */ ]", ":1:3: ", ""},
		"a comment before a name": {"{ /* x */ \"a\": 1}", ":1:3: ", ""},
		"a comment before colon":  {"{\"a\" /* x */: 1}", ":1:6: ", ""},
		"a comma after an item":   {"[1, 2 ,\n]", ":1:7: is", ""},
		"a comma after a member":  {"{\"a\": 1,}", ":1:8: is", ""},
		"a byte order mark":       {"\ufeff{}", ":1:1: ", ""},
		"only a comma":            {"[,]", ":1:2: ", ":1:2: "},
		"two commas":              {"[1,,]", ":1:4: ", ":1:4: "},
		"nothing":                 {"", ":1:1: ", ":1:1: "},
		"cut off":                 {"{\"a\":\n", ":2:1: ", ":2:1: "},
		"two values":              {"{} {}", ":1:4: ", ":1:4: "},
		"not UTF-8":               {"{\n\"\xff\": 1}", ":2:2: ", ":2:2: "},
		"a name twice":            {`{"a": {"x": 1, "\u0078": 2}}`, ":1:16: /a/x", ":1:16: /a/x"},
		"a huge number":           {`{"a/b": [0, 1e999]}`, ":1:13: /a~1b/1", ":1:13: /a~1b/1"},
		"a long number":           {`[` + strings.Repeat("1", 101) + `]`, ":1:2: /0", ":1:2: /0"},
		"as deep as can be":       {strings.Repeat("[", 64) + strings.Repeat("]", 64), "", ""},
		"too deep":                {strings.Repeat("[", 65) + strings.Repeat("]", 65), ":1:65: ", ":1:65: "},
		"brackets in a string":    {`["` + strings.Repeat(`[\"{`, 100) + `"]`, "", ""},
		"brackets in a comment":   {"/*" + strings.Repeat("[{", 100) + "*/ 1", ":1:1: ", ""},
		"too long":                {strings.Repeat(" ", MaxSize) + "1", ": ", ": "},
	} {
		t.Run(name, func(t *testing.T) {
			_, strict := Parse("f", []byte(tt.text))
			_, comments := ParseWithComments("f", []byte(tt.text))
			checkRefused(t, "strict", strict, tt.strict)
			checkRefused(t, "with comments", comments, tt.comments)
		})
	}
}

func checkRefused(t *testing.T, mode string, got Problems, place string) {
	t.Helper()
	if place == "" && len(got) != 0 || place != "" && (len(got) != 1 || !strings.HasPrefix(got[0].Error(), "f"+place)) {
		t.Errorf("%s: got %v, want a problem at %q", mode, got, place)
	}
}

func parsed(t *testing.T, name, text string) *Node {
	t.Helper()
	n, problems := ParseWithComments(name, []byte(text))
	if problems != nil {
		t.Fatal(problems)
	}
	return n
}

// TestPlaces asks for the place of each value by the names that lead to it.
func TestPlaces(t *testing.T) {
	root := parsed(t, "f", "// x\n{\"a\": [1,\n {\"b/~\": \"x\"}], \"c\": null}")
	for _, tt := range []struct{ names, line, path string }{
		{"", "2:1", ""}, {"a", "2:7", "/a"}, {"a 0", "2:8", "/a/0"}, {"a 1", "3:2", "/a/1"}, {"a 1 b/~", "3:10", "/a/1/b~1~0"}, {"c", "3:22", "/c"},
		{"a 2", "2:7", "/a/2"}, {"a 1 z y", "3:2", "/a/1/z/y"}, {"z", "2:1", "/z"}, {"c z", "3:22", "/c/z"},
	} {
		at := root.Locate(strings.Fields(tt.names)...)
		p := at.Problem("is wrong")
		if line := fmt.Sprintf("%d:%d", p.Line, p.Column); line != tt.line || at.Path() != tt.path || at.File() != "f" {
			t.Errorf("%q: %s, %s, want %s, %s", tt.names, line, at.Path(), tt.line, tt.path)
		}
	}
	m, _ := root.Child("a").Child("1").Member("b/~")
	if p := m.Place().Problem("is wrong"); p.Column != 3 || m.Place().Path() != "/a/1/b~1~0" {
		t.Errorf("the name stands at %v, %s", p, m.Place().Path())
	}
}

// TestMerge checks values by RFC 7396, and that each remembers its file.
func TestMerge(t *testing.T) {
	base := Merge(nil, parsed(t, "base", `{"a": {"x": 1, "y": 2}, "b": [1, 2], "c": 3, "gone": {"x": null}}`))
	over := parsed(t, "over", `{"a": {"y": null, "z": {"n": null}}, "b": [3], "gone": null}`)
	merged := Merge(base, over)
	if got := fmt.Sprint(merged.Plain()); got != "map[a:map[x:1 z:map[]] b:[3] c:3]" {
		t.Errorf("merged %s", got)
	}
	for names, want := range map[string]string{"a x": "base:1:13: /a/x", "a z": "over:1:24: /a/z", "c": "base:1:43: /c", "b 0": "over:1:44: /b/0", "gone": "over:1:1: /gone"} {
		var problems Problems
		problems.Add(merged.Locate(strings.Fields(names)...), "is wrong")
		if got := problems[0].Error(); !strings.HasPrefix(got, want+":") {
			t.Errorf("%s is at %s, want %s", names, got, want)
		}
	}
	if got := fmt.Sprint(base.Plain()); !strings.Contains(got, "y:2") {
		t.Errorf("the base has changed: %s", got)
	}
}

func TestMembersReplaced(t *testing.T) {
	n := parsed(t, "doc", "{\"a\": [\"x\", 1, {\"b\": \"x\"}],\n\"c\": \"y\"}")
	at := n.Locate("c")
	changed := n.With("a", n.Child("a").MapTexts(at, func(text string) string { return strings.ReplaceAll(text, "x", "z") }))
	if got := fmt.Sprint(changed.Plain()); got != "map[a:[z 1 map[b:z]] c:y]" {
		t.Errorf("got %s", got)
	}
	if got := fmt.Sprint(n.Plain()); got != "map[a:[x 1 map[b:x]] c:y]" {
		t.Errorf("the first one is changed: %s", got)
	}
	if got := changed.Locate("a", "2", "b").Problem("here").Error(); got != "doc:2:6: here" {
		t.Errorf("got %s", got)
	}
	if got := fmt.Sprint(n.Without("a").Plain(), n.Without("none") == n, n.With("none", n) == n); got != "map[c:y] true true" {
		t.Errorf("got %s", got)
	}
}

func TestFromGo(t *testing.T) {
	n, err := FromGo("args", map[string]any{"list": []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	var problems Problems
	problems.Add(n.Locate("list", "0"), "is wrong")
	if want := (Problem{File: "args", Path: "/list/0", Reason: "is wrong"}); problems[0] != want {
		t.Errorf("problem %+v, want %+v", problems[0], want)
	}
	if _, err := FromGo("args", func() {}); err == nil {
		t.Error("a function became a node")
	}
}

func TestProblems(t *testing.T) {
	root := parsed(t, "f", `{"a": {"b": 1}, "ab": 2}`)
	if err := Problems(nil).Err(); err != nil {
		t.Errorf("no problems are the error %v", err)
	}
	var problems Problems
	for _, names := range []string{"ab", "a b", "ab"} {
		problems.Add(root.Locate(strings.Fields(names)...), "is wrong")
	}
	if problem, ok := errors.AsType[Problem](problems.Err()); !ok || problem.Path != "/a/b" || len(problems.Tidy()) != 2 {
		t.Errorf("the first of two is %+v, of %v", problem, problems.Tidy())
	}
	for names, want := range map[string]bool{"a": true, "a b": true, "ab": true, "a b c": false, "": true, "b": false} {
		if got := problems.Within(root.Locate(strings.Fields(names)...)); got != want {
			t.Errorf("within %q: %v", names, got)
		}
	}
	if len(problems.Err().Error()) > 100 {
		t.Errorf("a long error: %v", problems.Err())
	}
}

func TestProblemsAreBounded(t *testing.T) {
	root := parsed(t, "f", "["+strings.Repeat("\n1,", 5000)+"]")
	var problems Problems
	for i := range root.Elements() {
		problems.Add(root.Locate(fmt.Sprint(4999-i)), "is %s", strings.Repeat("long ", 1000))
	}
	told := strings.Split(problems.Err().Error(), "\n")
	if len(told) != MaxProblems+1 || len(problems) > 1000 || len(told[0]) > 2*maxReason {
		t.Errorf("%d problems are kept, %d told, the first in %d bytes", len(problems), len(told), len(told[0]))
	}
	if !strings.HasPrefix(told[0], "f:2:1: /0: ") || !strings.HasPrefix(told[MaxProblems-1], "f:51:1: /49: ") {
		t.Errorf("told from %.20s to %.20s", told[0], told[MaxProblems-1])
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"image", "install", "wipe"}
	for written, want := range map[string]string{"imgae": `"image"`, "live": "", "instal": `"install"`, "inztal": `"install"`, "WIPE": `"wipe"`, "colour": "", "": "", strings.Repeat("image", 1000): ""} {
		if got := DidYouMean(written, known); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%.10q: %q, want %s", written, got, want)
		}
	}
}
