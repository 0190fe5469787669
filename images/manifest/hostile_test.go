package manifest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"cloudlets/images/jsontext"
)

// within fails the test if something does not end. The bound is generous: it
// tells seconds from for ever.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // far more than it takes on any computer
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatalf("%s does not end", what)
	}
}

// TestLargeManifests has manifests full of one kind of trouble. Most are a
// quarter of what is allowed, for the race detector's sake.
func TestLargeManifests(t *testing.T) {
	const large = jsontext.MaxSize / 4
	many := func(before, each, after string) string {
		return before + strings.Repeat(each, (large-len(before)-len(after))/len(each)) + after
	}
	numbered := func(before, format, after string) string {
		var b strings.Builder
		b.WriteString(before)
		for i := 0; b.Len() < large-len(format)-len(after)-20; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String() + after
	}
	for name, tt := range map[string]struct{ text, want string }{
		"wrong paths":       {many(`{"templates": [`, `5,`, `5]}`), "/templates/49: is a number"},
		"good paths":        {many(`{"templates": [`, `"/",`, `"/"]}`), ""},
		"members":           {numbered(`{`, `"%d":0,`, `"x":0}`), ""},
		"wrong entries":     {numbered(`{"entrypoints": {`, `"%d":0,`, `"x":0}}`), "is a number where an object is needed"},
		"entries":           {numbered(`{"entrypoints": {`, `"%d":{"type":"init","path":"/i"},`, `"x":{"type":"init","path":"/i"}}}`), ""},
		"arguments":         {numbered(`{"args": {`, `"%d":{},`, `"x":{}}}`), "is more than the 5000 allowed"},
		"wrong arguments":   {numbered(`{"args": {`, `"%d":{"type":"x"},`, `"x":{}}}`), "is more than the 5000 allowed"},
		"nested":            {strings.Repeat("[", 10000) + strings.Repeat("]", 10000), "is nested deeper than 64 levels"},
		"nested unclosed":   {many(``, `{"x":`, ``), "is nested deeper than 64 levels"},
		"nested arguments":  {`{"args": ` + strings.Repeat(`{"x":`, 10000) + "1" + strings.Repeat("}", 10001), "is nested deeper than 64 levels"},
		"patterns":          {many(`{"volatile": [`, `"a",`, `"a"]}`), "/volatile: is an array where an array of at most 1000 regular expressions is needed"},
		"brackets":          {`{"volatile": ["` + strings.Repeat("(", 400000) + strings.Repeat(")", 400000) + `"]}`, "is \"((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((\"… where a regular expression of at most 4096 characters is needed"},
		"brackets in args":  {`{"args": {"a": {"type": "string", "pattern": "` + strings.Repeat("(", 400000) + strings.Repeat(")", 400000) + `"}}}`, "more than the 4096 allowed"},
		"nested brackets":   {`{"volatile": ["` + strings.Repeat("(", 2000) + strings.Repeat(")", 2000) + `"]}`, ""},
		"repeated counting": {`{"volatile": ["((((a{1,1000}){1,1000}){1,1000}){1,1000}){1,1000}"]}`, ""},
		"one long string":   {many(`{"x": "`, `x`, `"}`), ""},
		"one long number":   {many(`{"x": `, `1`, `}`), "/x: is a number out of range"},
		"long fraction":     {many(`{"x": 0.`, `1`, `}`), "/x: is a number out of range"},
		"escapes":           {many(`{"x": "`, `\u0000`, `"}`), ""},
		"white space":       {many(`{`, " \n", `}`), ""},
		"duplicate names":   {many(`{`, `"x":0,`, `"x":0}`), "/x: is written twice"},
		"as long as can be": {`{"x": "` + strings.Repeat("x", jsontext.MaxSize-9) + `"}`, ""},
		"one byte too many": {`{"x": "` + strings.Repeat("x", jsontext.MaxSize-8) + `"}`, "is 1048577 bytes long, which is more than the 1048576 allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, "reading the manifest", func() {
				_, err := Parse("x", []byte(tt.text))
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("error %.500v, want %q", err, tt.want)
				}
				if err != nil && len(err.Error()) > 64<<10 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
			})
		})
	}
}

func TestTextsThatAreNoManifests(t *testing.T) {
	for text, want := range map[string]string{
		"\ufeff{}":                ":1:1: begins with a byte order mark: save it as UTF-8 without one",
		"\xff\xfe{\x00}\x00":      ":1:1: is not UTF-8",
		"{\"a\": \"\xc3\"}":       ":1:8: is not UTF-8",
		`{"args": {"x": NaN}}`:    ":1:16: is not JSON",
		`{"x": Infinity}`:         "is not JSON",
		`{"x": 0x10}`:             "is not JSON",
		`{"x": 01}`:               "is not JSON",
		`{"x": 1e400}`:            "/x: is a number out of range",
		`{"x": -1e-999999999999}`: "",
		`{"x": 1,}`:               "is not JSON",
		`{'x': 1}`:                "is not JSON",
		"{\"x\": \"a\nb\"}":       "is not JSON",
		"// comment\n{}":          "is not JSON",
		"{}\x00":                  "is not JSON",
		`{"x": "\ud800"}`:         "/x: has \\ud800, which is half of a character",
		`{"x": {"y": 1, "y": 2}}`: "/x/y: is written twice",
		`{"x": 1, "\u0078": 2}`:   "/x: is written twice",
	} {
		_, err := Parse("x", []byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

// doubling is a schema that is small, and asks for 2^60 checks.
func doubling() string {
	var b strings.Builder
	b.WriteString(`{"args": {"type": "object", "definitions": {`)
	for i := range 60 {
		fmt.Fprintf(&b, `"d%d": {"allOf": [{"$ref": "#/definitions/d%d"}, {"$ref": "#/definitions/d%d"}]}, `, i, i+1, i+1)
	}
	return b.String() + `"d60": {"type": "string"}}, "properties": {"x": {"$ref": "#/definitions/d0", "optional": true}}}}`
}

func TestSchemasThatDoNotEnd(t *testing.T) {
	slow := strings.Repeat("a", 40) + "!"
	for name, tt := range map[string]struct{ manifest, args, want string }{
		"reference to itself":     {`{"args": {"type": "object", "properties": {"x": {"$ref": "#/properties/x", "optional": true}}}}`, `{"x": 1}`, "/args/x: cannot be checked: the schema in the manifest refers to itself without end"},
		"references in a circle":  {`{"args": {"type": "object", "definitions": {"a": {"allOf": [{"$ref": "#/definitions/b"}]}, "b": {"anyOf": [{"$ref": "#/definitions/a"}]}}, "properties": {"x": {"$ref": "#/definitions/a", "optional": true}}}}`, `{"x": 1}`, "refers to itself without end"},
		"reference to the root":   {`{"args": {"type": "object", "properties": {"x": {"$ref": "#", "optional": true}}}}`, `{"x": {"x": {"x": 1}}}`, "/args/x/x/x: got number, want object"},
		"references that double":  {doubling(), `{"x": "y"}`, "/args: checking the arguments takes too long: the schema in the manifest refers to itself too often"},
		"backtracking":            {`{"args": {"x": {"type": "string", "pattern": "^(a+)+$"}}}`, `{"x": "` + slow + `"}`, "checking the arguments takes too long"},
		"backtracking many times": {`{"args": {"x": {"type": "array", "items": {"type": "string", "pattern": "^(a+)+$"}}}}`, `{"x": [` + strings.Repeat(`"`+slow+`",`, 1000) + `"a"]}`, "checking the arguments takes too long"},
		"backtracking names":      {`{"args": {"type": "object", "patternProperties": {"^(a+)+$": {}}}}`, `{"` + slow + `": 1}`, "checking the arguments takes too long"},
		"all different":           {`{"args": {"x": {"type": "array", "uniqueItems": true}}}`, `{"x": [` + strings.Repeat(`[],`, 100000) + `1]}`, "at 0 and 1 are equal"},
	} {
		t.Run(name, func(t *testing.T) {
			m := parseManifest(t, tt.manifest)
			c := parseConfig(t, `{"args": `+tt.args+`}`)
			t.Parallel() // most of these wait for the end of a second or two
			within(t, "completing the configuration", func() {
				if _, err := m.Complete(c); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %.300v, want %q", err, tt.want)
				}
			})
		})
	}
}

func TestSchemasThatAreNoSchemas(t *testing.T) {
	for args, want := range map[string]string{
		`{"$schema": "http://example.org/mine", "type": "object"}`:                           `its "$schema" names "http://example.org/mine", which is no known version`,
		`{"type": "object", "properties": {"x": {"$ref": "#/definitions/none"}}}`:            "is not a JSON schema",
		`{"type": "object", "properties": {"x": {"$ref": "other.json"}}}`:                    "only references within the manifest are allowed",
		`{"type": "object", "properties": {"x": {"$schema": "http://example.org/x#"}}}`:      "",
		`{"type": "object", "properties": {"x": {"$id": "http://example.org/x", "a": [1]}}}`: "",
		`{"type": "object", "required": [1]}`:                                                "/args/required/0: is not what a JSON schema has here",
		`{"type": "object", "minProperties": "x"}`:                                           "/args/minProperties: is not what a JSON schema has here",
		`{"x": {"type": "array", "items": 5}}`:                                               "/args/x/items",
	} {
		_, err := Parse("x", []byte(`{"args": `+args+`}`))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}

// TestVolatilePatternsThatDoNotEnd asks about many paths, each of which takes
// a pattern for ever.
func TestVolatilePatternsThatDoNotEnd(t *testing.T) {
	m := parseManifest(t, `{"volatile": ["/(a+)+$", "/tmp/.+"]}`)
	within(t, "asking what is volatile", func() {
		for i := range 1000 {
			if m.IsVolatile("/" + strings.Repeat("a", 60+i) + "!") {
				t.Error("a path that does not match is volatile")
			}
		}
	})
	if !m.IsVolatile("/tmp/x") {
		t.Error("a pattern that ends is given up with those that do not")
	}
}

func TestConcurrentChecks(t *testing.T) {
	m := loadManifest(t, "draft-03")
	errs := make(chan error)
	for range 8 {
		go func() {
			_, err := m.Complete(Config{Args: map[string]any{"hostname": "a", "database": map[string]any{}}})
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
