package manifest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestConfigSchema has another validator check configurations against the
// schema for an image, and compares with Complete.
func TestConfigSchema(t *testing.T) {
	tests := []struct {
		name, manifest string
		good, bad      []string
	}{
		{"no manifest to speak of", `{}`,
			[]string{`{}`, `{"args": {}}`, `{"args": {"x": [1]}, "dns": {"x": 1}, "other": null}`, `{"dns": {"nameservers": ["10.0.0.1"]}, "ip": {"interfaces": [{}]}}`},
			[]string{`[]`, `5`, `{"args": null}`, `{"args": []}`, `{"dns": {"nameservers": "10.0.0.1"}}`, `{"dns": 5}`, `{"ip": {"interfaces": {}}}`}},
		{"the manifest of 2010", `{"args": {"hostname": {"type": "string", "default": "debian-host"}}}`,
			[]string{`{}`, `{"args": {"hostname": "a"}}`, `{"args": {}}`}, []string{`{"args": {"hostname": 5}}`}},
		{"draft-03", `{"args": {"type": "object", "properties": {
			"hostname": {"type": "string", "pattern": "^(?!-)[a-z0-9-]+$"},
			"address": {"type": "string", "format": "ip-address", "optional": true},
			"port": {"type": "integer", "minimum": 0, "exclusiveMinimum": true, "default": 80},
			"step": {"type": "number", "divisibleBy": 5, "optional": true},
			"any": {"type": "any", "optional": true},
			"either": {"type": ["string", {"type": "integer"}], "optional": true},
			"notText": {"disallow": "string", "optional": true},
			"pair": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}], "additionalItems": false, "optional": true},
			"password": {"type": "string", "optional": true, "dependencies": {}},
			"database": {"type": "object", "properties": {"host": {"type": "string", "default": "localhost"}, "port": {"type": "integer", "default": 5432}}}
		}, "dependencies": {"address": "step", "step": ["any"]}}}`,
			[]string{
				`{"args": {"hostname": "a", "database": {}}}`, `{"args": {"hostname": "a", "database": {}, "pair": ["x", 1]}}`, `{"args": {"hostname": "a", "database": {}, "pair": ["x"]}}`,
				`{"args": {"hostname": "a", "database": {"host": "b"}, "either": 5, "any": null, "step": 10, "address": "10.0.0.1", "notText": 5}}`,
			},
			[]string{
				`{}`, `{"args": {}}`, `{"args": {"hostname": "a"}}`, `{"args": {"hostname": "-a", "database": {}}}`, `{"args": {"hostname": "a", "database": {}, "port": 0}}`,
				`{"args": {"hostname": "a", "database": {}, "step": 10}}`, `{"args": {"hostname": "a", "database": {}, "any": 1, "step": 7}}`, `{"args": {"hostname": "a", "database": {}, "either": true}}`,
				`{"args": {"hostname": "a", "database": {}, "notText": "x"}}`, `{"args": {"hostname": "a", "database": {}, "address": "10.0.0.1"}}`, `{"args": {"hostname": "a", "database": {"port": "5"}}}`,
				`{"args": {"hostname": "a", "database": {}, "pair": ["x", 1, 2]}}`, `{"args": {"hostname": "a", "database": {}, "pair": [1]}}`, `{"args": {"hostname": "a", "database": {}, "any": 1, "step": 5, "address": "300.0.0.1"}}`,
			}},
		{"references", `{"args": {"type": "object", "definitions": {"name": {"type": "string"}, "tree": {"type": "object", "properties": {"left": {"$ref": "#/definitions/tree", "optional": true}, "name": {"$ref": "#/definitions/name"}}}},
			"properties": {"tree": {"$ref": "#/definitions/tree"}, "other": {"$ref": "#/definitions/name", "maxLength": 3, "optional": true}}}}`,
			[]string{`{"args": {"tree": {"name": "a"}}}`, `{"args": {"tree": {"name": "a", "left": {"name": "b", "left": {"name": "c"}}}, "other": "x"}}`},
			[]string{`{}`, `{"args": {"tree": {}}}`, `{"args": {"tree": {"name": "a", "left": {"left": {"name": "c"}}}}}`, `{"args": {"tree": {"name": "a"}, "other": 5}}`, `{"args": {"tree": {"name": "a"}, "other": "four"}}`}},
		{"draft-04", `{"args": {"$schema": "http://json-schema.org/draft-04/schema#", "type": "object", "required": ["a", "b"], "properties": {"a": {"type": "number", "minimum": 1, "exclusiveMinimum": true}, "b": {"default": 1}, "c": {}}}}`,
			[]string{`{"args": {"a": 2}}`, `{"args": {"a": 2, "c": 1}}`}, []string{`{"args": {"a": 1}}`, `{}`}},
		{"draft-07", `{"args": {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"$ref": "#/definitions/x"}, "l": {"items": [{"const": 1}], "additionalItems": {"const": 2}}}, "definitions": {"x": {"$id": "#named", "type": "string"}}, "additionalProperties": {"$ref": "#named"},
			"if": {"required": ["a"]}, "then": {"required": ["l"]}}}`,
			[]string{`{}`, `{"args": {"l": [1, 2, 2]}}`, `{"args": {"a": "x", "l": []}}`, `{"args": {"z": "x"}}`}, []string{`{"args": {"a": "x"}}`, `{"args": {"l": [2]}}`, `{"args": {"l": [1, 1]}}`, `{"args": {"z": 1}}`}},
		{"2019-09", `{"args": {"$schema": "https://json-schema.org/draft/2019-09/schema", "properties": {"l": {"items": [{"const": 1}], "additionalItems": false}, "in": {"$recursiveRef": "#"}}}}`,
			[]string{`{"args": {"in": {"l": [1]}}}`}, []string{`{"args": {"in": {"l": [2]}}}`, `{"args": {"in": {"l": [1, 2]}}}`}},
		{"2020-12", `{"args": {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": ["object", "null"], "required": ["a"], "properties": {"a": {"$ref": "#/$defs/x"}, "l": {"prefixItems": [{"const": 1}], "items": false}}, "$defs": {"x": {"type": "string"}}, "unevaluatedProperties": false}}`,
			[]string{`{"args": {"a": "x", "l": [1]}}`}, []string{`{}`, `{"args": {"a": 5}}`, `{"args": {"a": "x", "b": 1}}`, `{"args": {"a": "x", "l": [1, 2]}}`, `{"args": null}`}},
		{"an argument named like a keyword", `{"args": {"$ref": {"type": "string"}, "required": {"type": "boolean", "optional": true}, "type": {"type": "string", "default": "x"}}}`,
			[]string{`{"args": {"$ref": "#/x"}}`, `{"args": {"$ref": "", "required": true}}`}, []string{`{}`, `{"args": {"$ref": "", "required": 1}}`, `{"args": {"$ref": "", "type": 1}}`}},
	}
	var questions []question
	for _, tt := range tests {
		m := parseManifest(t, tt.manifest)
		all := slices.Concat(tt.good, tt.bad)
		questions = append(questions, question{m.ConfigSchema(), all})
		for i, text := range all {
			c, err := ParseConfig("c", []byte(text))
			if err == nil {
				_, err = m.Complete(c)
			}
			if good := i < len(tt.good); (err == nil) != good {
				t.Errorf("%s: %s: want it taken: %v, error %v", tt.name, text, good, err)
			}
		}
	}
	for n, answers := range foreign(t, questions...) {
		for i, valid := range answers {
			if good := i < len(tests[n].good); valid != good {
				t.Errorf("%s: %s: the other validator takes it: %v\n%s", tests[n].name, questions[n].Documents[i], valid, questions[n].Schema)
			}
		}
	}
}

func TestConfigSchemaNamesTheImage(t *testing.T) {
	m := parseManifest(t, `{"args": {"a": {"type": "string", "description": "<what> & why"}}}`)
	text := string(m.ConfigSchema())
	for _, want := range []string{`"title": "configuration for test"`, `"description": "<what> & why"`, `"$schema": "https://json-schema.org/draft/2020-12/schema"`, `"nameservers"`, `"interfaces"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if again := string(m.ConfigSchema()); again != text || !json.Valid([]byte(text)) {
		t.Error("it is not repeatable JSON")
	}
}

func TestValidateArgs(t *testing.T) {
	m := loadManifest(t, "draft-03")
	args, err := m.ValidateArgs([]byte(`{"hostname": "a", "database": {"port": 1}}`))
	if got, want := toJSON(t, args), `{"database":{"host":"localhost","port":1},"hostname":"a","port":80}`; err != nil || got != want {
		t.Errorf("arguments %s, %v; want %s", got, err, want)
	}
	_, err = m.ValidateArgs([]byte("{\n \"hostname\": 5,\n \"port\": 0, \"database\": {\"host\": true}}"))
	for _, want := range []string{
		"arguments for draft-03:2:14: /hostname: got number, want string", ":3:10: /port: exclusiveMinimum", ":3:34: /database/host: got boolean",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	for text, want := range map[string]string{`[]`: "is an array where an object is needed", `{`: "is not JSON", `{"a": 1, "a": 2}`: "written twice", `{}`: "/hostname: is missing"} {
		if _, err := m.ValidateArgs([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

// TestCompleteTellsEverything has errors in each part of a configuration.
func TestCompleteTellsEverything(t *testing.T) {
	m := loadManifest(t, "draft-03")
	_, err := m.Complete(Config{
		Args: map[string]any{"hostname": 5, "port": "x"},
		DNS:  map[string]any{"nameservers": "10.0.0.1"}, IP: map[string]any{"interfaces": 7},
	})
	want := []string{
		"config for draft-03: /args/database: is missing; the manifest requires it: type object",
		"config for draft-03: /args/hostname: got number, want string", "config for draft-03: /args/port: got string, want integer",
		"config for draft-03: /dns/nameservers: is a string where an array is needed", "config for draft-03: /ip/interfaces: is a number where an array is needed",
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("error\n%v\nwant\n%s", err, strings.Join(want, "\n"))
	}
}
