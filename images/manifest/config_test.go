package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"cloudlets/images/jsontext"
)

func TestComplete(t *testing.T) {
	m := loadManifest(t, "draft-03")
	for _, tt := range []struct {
		name, config string
		want         string // args, or
		problems     []string
	}{
		{"defaults", `{"args": {"hostname": "a", "database": {}}}`,
			`{"database":{"host":"localhost","port":5432},"hostname":"a","port":80}`, nil},
		{"all given", `{"args": {"hostname": "a", "port": 1, "address": "10.0.0.1", "either": 5, "any": null, "step": 10, "database": {"host": "db", "port": 1}}}`,
			`{"address":"10.0.0.1","any":null,"database":{"host":"db","port":1},"either":5,"hostname":"a","port":1,"step":10}`, nil},
		{"unknown arguments are allowed", `{"args": {"hostname": "a", "database": {}, "other": 1}}`,
			`{"database":{"host":"localhost","port":5432},"hostname":"a","other":1,"port":80}`, nil},
		{"missing", `{}`, "", []string{"/args/database: is missing", "/args/hostname: is missing; the manifest requires it: type string, the machine's name"}},
		{"everything wrong at once", `{"args": {"hostname": "-a", "database": 5, "port": 0, "address": "300.0.0.1", "step": 7, "either": true, "notText": "x", "users": [{"name": "a"}, {"shell": "sh"}]}}`,
			"", []string{
				"/args/hostname: does not match the pattern", "/args/database: got number, want object", "/args/port: exclusiveMinimum",
				"/args/address: is not a valid ipv4", "/args/step: multipleOf", "/args/either: fits none of the forms", "/args/notText: 'not' failed",
				"/args/users/1/name: is missing; the manifest requires it",
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := m.Complete(parseConfig(t, tt.config))
			if tt.want != "" {
				if got := toJSON(t, c.Args); err != nil || got != tt.want {
					t.Fatalf("args %s, %v; want %s", got, err, tt.want)
				}
				return
			}
			if err == nil {
				t.Fatalf("is taken: %s", toJSON(t, c))
			}
			if n := strings.Count(err.Error(), "\n") + 1; n != len(tt.problems) {
				t.Errorf("%d problems, want %d", n, len(tt.problems))
			}
			for _, want := range tt.problems {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in\n%v", want, err)
				}
			}
		})
	}
}

func TestCompleteLeavesItsInputAlone(t *testing.T) {
	m := parseManifest(t, `{"args": {"list": {"type": "array", "default": [1]}, "o": {"properties": {"x": {"default": 1}}}}}`)
	in := parseConfig(t, `{"args": {"o": {}}}`)
	a, err := m.Complete(in)
	if err != nil {
		t.Fatal(err)
	}
	a.Args["list"].([]any)[0] = "changed"
	if got := toJSON(t, in); got != `{"args":{"o":{}}}` {
		t.Errorf("the input is now %s", got)
	}
	if b, err := m.Complete(in); err != nil || toJSON(t, b.Args["list"]) != "[1]" {
		t.Errorf("the default is now %s, %v", toJSON(t, b.Args["list"]), err)
	}
}

func TestArgumentsNamedLikeKeywords(t *testing.T) {
	m := parseManifest(t, `{"args": {"type": {"type": "string"}, "properties": {"type": "string"}, "items": {"type": "array", "optional": true}}}`)
	if _, err := m.Complete(parseConfig(t, `{"args": {"type": "x", "properties": "y"}}`)); err != nil {
		t.Error(err)
	}
	if _, err := m.Complete(parseConfig(t, `{"args": {"type": "x"}}`)); err == nil {
		t.Error("a missing argument \"properties\" is taken")
	}
}

func TestModernSchemaKeepsItsMeaning(t *testing.T) {
	for _, args := range []string{
		`{"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a"]}`,
		`{"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a"]}`,
	} {
		m := parseManifest(t, `{"args": `+args+`}`)
		if _, err := m.Complete(parseConfig(t, `{"args": {"a": "x"}}`)); err != nil {
			t.Errorf("%s: b is not required, yet: %v", args, err)
		}
		if _, err := m.Complete(Config{}); err == nil {
			t.Errorf("%s: a is required", args)
		}
	}
	m := parseManifest(t, `{"args": {"properties": {"hostname": {"type": "string"}}}}`)
	if _, err := m.Complete(parseConfig(t, `{"args": {"hostname": "x"}}`)); err != nil {
		t.Errorf("a schema without a type: %v", err)
	}
}

func TestConfigOfGoValues(t *testing.T) {
	m := parseManifest(t, `{"args": {"port": {"type": "integer"}}}`)
	if _, err := m.Complete(Config{Args: map[string]any{"port": 80}, DNS: map[string]any{"nameservers": []string{"10.0.0.1"}}}); err != nil {
		t.Error(err)
	}
	_, err := m.Complete(Config{Args: map[string]any{"port": func() {}}})
	if err == nil {
		t.Error("a function is taken for a value")
	}
}

func TestConfigWithinADocument(t *testing.T) {
	var spec struct{ Config Config }
	if err := json.Unmarshal([]byte(`{"Config": {"args": {"a": 1}, "x": true}}`), &spec); err != nil {
		t.Fatal(err)
	}
	if got, want := toJSON(t, spec.Config), `{"args":{"a":1},"x":true}`; got != want || spec.Config.IsZero() {
		t.Errorf("config %s, want %s", got, want)
	}
	if err := json.Unmarshal([]byte(`{"Config": {"dns": {"nameservers": "10.0.0.1"}}}`), &spec); err == nil {
		t.Error("nameservers that are no list are taken")
	}
}

func TestConfigProblems(t *testing.T) {
	_, err := ParseConfig("config of 52:54:00:00:00:01", []byte("{\n \"args\": [],\n \"dns\": {\"nameservers\": {}},\n \"ip\": {\"interfaces\": 5}, \"ip\": {}}"))
	for _, want := range []string{":4:27: /ip: is written twice"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	_, err = ParseConfig("config of x", []byte("{\n \"args\": [],\n \"dns\": {\"nameservers\": {}},\n \"ip\": {\"interfaces\": 5}}"))
	for _, want := range []string{"config of x:2:10: /args: is an array", ":3:25: /dns/nameservers", ":4:23: /ip/interfaces: is a number"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	var p jsontext.Problem
	if !errors.As(err, &p) {
		t.Errorf("%T is no Problem", err)
	}
}

// TestValidateTellsLines has a mistake that only the manifest knows to be one.
func TestValidateTellsLines(t *testing.T) {
	m := parseManifest(t, `{"args": {"port": {"type": "integer"}, "name": {"type": "string"}}}`)
	_, err := m.Validate("config.json", []byte("{\n \"args\": {\n  \"port\": \"x\"}}"))
	var told []string
	for _, line := range strings.Split(err.Error(), "\n") {
		told = append(told, strings.Join(strings.SplitN(line, ":", 5)[:4], ":"))
	}
	if want := "config.json:2:10: /args/name config.json:3:11: /args/port"; strings.Join(told, " ") != want {
		t.Errorf("places %s, want %s", told, want)
	}
}

// TestReadConfig reads a configuration that is a part of another document.
func TestReadConfig(t *testing.T) {
	root, problems := jsontext.ParseWithComments("machine.json", []byte("{\"config\": { // of the copy\n \"args\": {\"a\": 1.0},\n \"dns\": 5,}}"))
	if problems != nil {
		t.Fatal(problems)
	}
	c, problems := ReadConfig(root.Child("config"))
	if got := toJSON(t, c.Args); got != `{"a":1.0}` {
		t.Errorf("args %s", got)
	}
	if len(problems) != 1 || problems[0].File != "machine.json" || problems[0].Line != 3 || problems[0].Column != 9 || problems[0].Path != "/config/dns" {
		t.Errorf("problems %+v", problems)
	}
}

func FuzzConfig(f *testing.F) {
	for _, seed := range []string{`{}`, `{"args": {"a": 1e5}, "dns": {"nameservers": []}, "x": null}`, `{"ip": {"interfaces": [{}]}}`, `{"a": "\ud800"}`, `[`} {
		f.Add([]byte(seed))
	}
	for _, args := range []string{`{"hostname": "a", "database": {}}`, `{"hostname": "a", "database": {"port": 5.0}, "either": 5, "any": null, "step": 10, "address": "10.0.0.1", "users": [{"name": ""}]}`} {
		f.Add([]byte(`{"args": ` + args + `}`))
	}
	text, err := os.ReadFile("testdata/manifests/draft-03.json")
	if err != nil {
		f.Fatal(err)
	}
	m, err := Parse("draft-03", text)
	if err != nil {
		f.Fatal(err)
	}
	schema := compileSchema(f, m.ConfigSchema(), true)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseConfig("fuzz", text)
		if err != nil {
			return
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%q is taken, and is no JSON: %v", text, err)
		}
		_, refused := m.Complete(c)
		if invalid := schema.Validate(doc); (invalid == nil) != (refused == nil) {
			t.Fatalf("%q: the schema says %v, Complete says %v", text, invalid, refused)
		}
		again, err := ParseConfig("fuzz", []byte(toJSON(t, c)))
		if err != nil || toJSON(t, again) != toJSON(t, c) {
			t.Fatalf("%q reads as %s, and that as %s, %v", text, toJSON(t, c), toJSON(t, again), err)
		}
	})
}
