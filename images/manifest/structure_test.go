package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"cloudlets/images/jsontext"
	"cloudlets/images/pattern"
	"cloudlets/testdata/needs"
)

// manifestTexts are manifests, good and bad: those of testdata, and more.
func manifestTexts(t testing.TB) []string {
	t.Helper()
	texts := []string{
		`{}`, `{"name": 5, "description": null, "author": ["a", "b"], "x": {"y": 1}}`, `null`, `5`, `"x"`, `{"arch": null}`,
		`{"templates": {}}`, `{"templates": [[]]}`, `{"templates": ["a", "./b", "/c/...", "/..d", "/e.."]}`, `{"templates": ["a/.."]}`, `{"persistent": [".."]}`,
		`{"templates": ["../a"]}`, `{"templates": ["/a\n"]}`, `{"templates": ["/..\n"]}`, `{"volatile": ["a", 5]}`, `{"volatile": ["[", "(?!x)", "(?<=a)b"]}`,
		`{"args": null}`, `{"args": []}`, `{"args": {"type": "object"}}`, `{"args": {"type": "array"}}`, `{"args": {"type": {"type": "string"}}}`, `{"args": {"a": 5}}`,
		`{"args": {"a": {"type": 5}}}`, `{"args": {"$schema": "http://example.org/mine"}}`, `{"args": {"a": {"pattern": "("}}}`,
		`{"entrypoints": []}`, `{"entrypoints": {"a": {"type": "kernel", "kernel": ""}}}`, `{"entrypoints": {"a": {"type": "kernel", "kernel": "/k", "initrd": ""}}}`,
		`{"entrypoints": {"a": {"type": "kernel", "kernel": "/k", "cmdline": "a\tb"}}}`, `{"entrypoints": {"a": {"type": "kernel", "kernel": "/k", "cmdline": "a\n"}}}`,
		`{"entrypoints": {"a": {"type": "kernel", "path": "/k"}}}`, `{"entrypoints": {"a": {"type": "init", "kernel": "/k"}}}`, `{"entrypoints": {"": {"type": "init", "path": "/i"}}}`,
		`{"entrypoints": {"a": {"type": "chroot", "path": "/sh", "env": {"A": "b"}, "requires": {"arch": "amd64", "kernel": ">=2.6.32", "commands": ["ls", "/bin/cp"], "run": ["true"]}}}}`,
		`{"entrypoints": {"a": {"type": "chroot", "path": "/sh", "env": {"A=": "b"}}}}`, `{"entrypoints": {"a": {"type": "chroot", "path": "/sh", "env": {"": "b"}}}}`,
		`{"entrypoints": {"a": {"type": "chroot", "path": "/sh", "env": {"A": 5}}}}`, `{"entrypoints": {"a": {"type": "chroot", "path": "/sh", "env": {"A": "\u0000"}}}}`,
		`{"entrypoints": {"a": {"type": "chroot", "path": "/sh", "requires": {"commands": [""]}}}}`, `{"entrypoints": {"a": {"type": "chroot", "path": "/sh", "requires": {"run": [""]}}}}`,
		`{"entrypoints": {"a": {"type": "chroot", "path": "/sh", "requires": {"commands": "ls", "run": {}, "arch": 1}}}}`,
		`{"entrypoints": {"a": {"type": "chroot", "path": "/sh", "args": ["a\u0000"]}}}`, `{"entrypoints": {"a": {"type": 5}, "b": {"type": null, "default": 1}}}`,
		`{"entrypoints": {"a": {"type": "init", "path": "/i", "default": true}, "b": {"type": "init", "path": "/i", "default": true}}}`,
		`{"entrypoints": {"a": {"type": "init", "path": "/i", "default": true}, "b": {"type": "chroot", "path": "/i", "default": true}}}`,
		`{"entrypoints": {"a": {"type": "kernel", "kernel": "/boot/[a"}}}`, `{"arch": 1e999}`, "\ufeff{}", `{"arch": NaN}`, `{"arch": Infinity}`, `{"arch": "a",}`,
	}
	for _, constraint := range []string{">=2.6.32", ">= 2.6.32 , <7", "=6.1.0-31-amd64", "<5", ">4", "<=4.19~rc1", "2.6", ">=", ">=x", ">=1,", ",>1", "=>1", "", ">=1\n", ">=1;<2"} {
		texts = append(texts, `{"entrypoints": {"a": {"type": "init", "path": "/i", "requires": {"kernel": `+toText(t, constraint)+`}}}}`)
	}
	for _, pattern := range []string{"testdata/hostile/*.json", "testdata/manifests/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(text))
		}
	}
	return texts
}

func toText(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// beyondSchema are the reasons to refuse a manifest that no schema can give.
var beyondSchema = []string{
	"is not JSON:", "is not UTF-8", "begins with a byte order mark", "is written twice", "nested deeper than", "is a number out of range", "bytes long, which is more",
	"is not a regular expression", "a pattern with an unclosed bracket", "is the second default", "is not a JSON schema:", "is not what a JSON schema has here:",
}

func compileSchema(t testing.TB, text []byte, formats bool) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseRegexpEngine(func(text string) (jsonschema.Regexp, error) { return pattern.Compile(text) })
	if formats {
		compiler.AssertFormat()
	}
	if err := compiler.AddResource("test.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("test.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// disagreement is what is wrong where the schema of manifests and the reader
// of manifests say different things; "" where they agree.
func disagreement(schema *jsonschema.Schema, text string) string {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return "" // then there is nothing for a schema to see
	}
	refused := schema.Validate(doc)
	_, err = Parse("x", []byte(text))
	switch {
	case refused != nil && err == nil:
		return "the schema alone refuses it: " + refused.Error()
	case refused == nil && err != nil:
		for _, line := range strings.Split(err.Error(), "\n") {
			if !containsAny(line, beyondSchema) {
				return "the schema alone takes it: " + line
			}
		}
	}
	return ""
}

func containsAny(s string, words []string) bool {
	for _, word := range words {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}

func TestSchemaAndReaderAgree(t *testing.T) {
	schema := compileSchema(t, Schema(), false)
	for _, text := range manifestTexts(t) {
		if what := disagreement(schema, text); what != "" {
			t.Errorf("%.200s\n%s", text, what)
		}
	}
}

// question is a schema and the documents to check against it.
type question struct {
	Schema    json.RawMessage `json:"schema"`
	Documents []string        `json:"documents"`
}

// foreign asks the validator of another language, all at once since it is
// slow to start, which of the documents each schema takes. It is Debian's
// package python3-jsonschema.
func foreign(t *testing.T, questions ...question) [][]bool {
	t.Helper()
	const program = `
import json, sys
import jsonschema
answers = []
for q in json.load(sys.stdin):
    jsonschema.Draft202012Validator.check_schema(q["schema"])
    v = jsonschema.Draft202012Validator(q["schema"], format_checker=jsonschema.FormatChecker(["ipv4", "ipv6", "date"]))
    answers.append([v.is_valid(json.loads(text)) for text in q["documents"]])
json.dump(answers, sys.stdout)
`
	input, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	var out, said bytes.Buffer
	cmd := exec.Command(needs.Tool(t, "python3", "python3-jsonschema"), "-c", program)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("python3 with jsonschema (Debian: apt-get install python3-jsonschema): %v\n%s", err, said.String())
	}
	var answers [][]bool
	if err := json.Unmarshal(out.Bytes(), &answers); err != nil || len(answers) != len(questions) {
		t.Fatalf("%v: %s", err, out.String())
	}
	return answers
}

func TestManifestSchemaIsForOthersToo(t *testing.T) {
	schema := compileSchema(t, Schema(), false)
	var texts []string
	var want []bool
	for _, text := range manifestTexts(t) {
		if doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text)); err == nil {
			texts, want = append(texts, text), append(want, schema.Validate(doc) == nil)
		}
	}
	for i, valid := range foreign(t, question{Schema(), texts})[0] {
		if valid != want[i] {
			t.Errorf("%.200s\nis valid: %v for us, %v for the other validator", texts[i], want[i], valid)
		}
	}
}

func TestEachFlawIsTold(t *testing.T) {
	text := `{"arch": 5, "entrypoints": {
 "a": {"type": "chroot", "path": "/x", "env": {"A=B": "x", "C": 5}},
 "b": {"type": "init", "requires": {"kernel": "2.6", "arch": [], "commands": ["", "../x"], "run": [7]}},
 "c": {"kernel": "` + strings.Repeat("/long", 100) + `/.."}
}}`
	want := []string{
		`manifest of x:1:10: /arch: is a number where the name of an architecture such as "amd64" is needed`,
		`manifest of x:2:48: /entrypoints/a/env/A=B: has no place in an object that maps names without "=" to strings`,
		`manifest of x:2:65: /entrypoints/a/env/C: is a number where a string without zero bytes is needed`,
		`manifest of x:3:7: /entrypoints/b: has no "path": the path of a program such as "/sbin/init" is needed`,
		`manifest of x:3:47: /entrypoints/b/requires/kernel: is "2.6" where a version constraint such as ">=2.6.32, <7" is needed`,
		`manifest of x:3:62: /entrypoints/b/requires/arch: is an array where the name of an architecture such as "amd64" is needed`,
		`manifest of x:3:79: /entrypoints/b/requires/commands/0: is "" where a path from the image's root without ".." or zero bytes is needed`,
		`manifest of x:3:83: /entrypoints/b/requires/commands/1: is "../x" where a path from the image's root without ".." or zero bytes is needed`,
		`manifest of x:3:100: /entrypoints/b/requires/run/0: is a number where a command is needed`,
		`manifest of x:4:7: /entrypoints/c: has no "type": "kernel", "init" or "chroot" is needed`,
		`manifest of x:4:18: /entrypoints/c/kernel: is "` + strings.Repeat("/long", 12) + `"… where a path from the image's root or a pattern such as "/boot/vmlinuz-*" is needed`,
	}
	_, err := Parse("x", []byte(text))
	if err == nil {
		t.Fatal("is taken")
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	var p jsontext.Problem
	if !errors.As(err, &p) {
		t.Errorf("%T holds no Problem", err)
	}
}
