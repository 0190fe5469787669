package schema

import (
	"bytes"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"cloudlets/images/jsontext"
)

// object parses a JSON object.
func object(t *testing.T, text string) map[string]any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
	doc, ok := value.(map[string]any)
	if err != nil || !ok {
		t.Fatalf("%s: %v", text, err)
	}
	return doc
}

// TestVerdicts has for each keyword arguments that fit and arguments that do
// not. In the schema S stands for the keyword "$schema" of draft 2020-12.
func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		schema    string
		good, bad []string
	}{
		// The shorthand, and what is not one.
		{`{"tags": {"items": {"type": "string"}}}`, []string{`{"tags": ["a"]}`, `{"tags": []}`}, []string{`{}`, `{"tags": [1]}`}},
		{`{S, "type": "object", "properties": {"labels": {"additionalProperties": {"type": "string"}}}}`,
			[]string{`{"labels": {"a": "5"}}`, `{}`}, []string{`{"labels": {"a": 5}}`}},
		{`{"labels": {"additionalProperties": {"type": "string"}}}`, []string{`{"labels": {"a": "5"}}`}, []string{`{"labels": {"a": 5}}`, `{}`}},
		{`{"a": {"not": {"type": "string"}}, "b": {"properties": {"c": {"type": "integer"}}}}`,
			[]string{`{"a": 1, "b": {"c": 1}}`}, []string{`{"a": "x", "b": {"c": 1}}`, `{"a": 1, "b": {"c": "x"}}`, `{"a": 1, "b": {}}`}},
		{`{S, "properties": {"a": {"properties": {"b": {"enum": [1, null]}}}}}`, []string{`{"a": {"b": null}}`, `{"a": {}}`}, []string{`{"a": {"b": 2}}`}},
		// What is required.
		{`{"type": "object", "required": [], "properties": {"a": {"type": "string"}}}`, []string{`{}`, `{"a": "x"}`}, []string{`{"a": 1}`}},
		{`{"type": "object", "required": ["b"], "properties": {"a": {}, "b": {}}}`, []string{`{"b": 1}`}, []string{`{"a": 1}`}},
		{`{"a": {"optional": true}, "b": {"default": 1}, "c": {"required": false}, "d": {}}`, []string{`{"d": 1}`}, []string{`{}`}},
		{`{S, "properties": {"a": {"type": "string"}}}`, []string{`{}`}, []string{`{"a": 5}`}},
		{`{S, "dependentRequired": {"a": ["b"]}}`, []string{`{"a": 1, "b": 1}`, `{"b": 1}`}, []string{`{"a": 1}`}},
		// References.
		{`{"type": "object", "properties": {"a": {"$ref": "#/definitions/n", "minimum": 5}}, "definitions": {"n": {"type": "integer"}}}`,
			[]string{`{"a": 5}`}, []string{`{"a": 4}`, `{"a": "x"}`}},
		{`{S, "properties": {"a": {"$ref": "#/$defs/n", "minimum": 5}}, "$defs": {"n": {"type": "integer"}}}`, []string{`{"a": 5}`}, []string{`{"a": 4}`, `{"a": 5.5}`}},
		{`{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"$ref": "#/definitions/n", "minimum": 5}}, "definitions": {"n": {"type": "integer"}}}`,
			[]string{`{"a": 4}`}, []string{`{"a": "x"}`}},
		{`{S, "properties": {"t": {"$ref": "#"}}, "additionalProperties": false}`, []string{`{"t": {"t": {}}}`}, []string{`{"t": {"x": 1}}`}},
		{`{S, "properties": {"a": {"$ref": "#here"}}, "$defs": {"x": {"$anchor": "here", "const": 1}}}`, []string{`{"a": 1.0}`}, []string{`{"a": 2}`}},
		{`{S, "properties": {"a~b": {"const": 1}, "c": {"$ref": "#/properties/a~0b"}}}`, []string{`{"c": 1}`}, []string{`{"c": 2}`}},
		{`{S, "$dynamicAnchor": "n", "properties": {"in": {"$dynamicRef": "#n"}}, "unevaluatedProperties": false}`, []string{`{"in": {"in": {}}}`}, []string{`{"in": {"x": 1}}`}},
		// Texts.
		{`{"a": {"pattern": "^\\p{L}+$"}}`, []string{`{"a": "größe"}`, `{"a": "Ωmega"}`, `{"a": 1}`}, []string{`{"a": "a1"}`, `{"a": ""}`}},
		{`{"a": {"pattern": "^\\p{Script=Greek}\\P{Lu}$"}}`, []string{`{"a": "αa"}`}, []string{`{"a": "aα"}`, `{"a": "αA"}`}},
		{`{"a": {"pattern": "^\\u{1F432}*$"}}`, []string{`{"a": "🐲🐲"}`}, []string{`{"a": "u"}`}},
		{`{"a": {"pattern": "^\\d$"}}`, []string{`{"a": "4"}`}, []string{`{"a": "৪"}`}},
		{`{"a": {"pattern": "b"}}`, []string{`{"a": "abc"}`}, []string{`{"a": "ac"}`}},
		{`{"a": {"minLength": 2, "maxLength": 2}}`, []string{`{"a": "🐲🐲"}`, `{"a": [1]}`}, []string{`{"a": "🐲"}`, `{"a": "abc"}`}},
		{`{"a": {"format": "ipv4"}}`, []string{`{"a": "10.0.0.1"}`}, []string{`{"a": "10.0.0.256"}`, `{"a": "10.1"}`}},
		// Numbers.
		{`{"a": {"type": "integer"}}`, []string{`{"a": 1.0}`, `{"a": 12345678901234567890}`}, []string{`{"a": 1.5}`, `{"a": "1"}`, `{"a": true}`}},
		{`{"a": {"multipleOf": 0.0001}}`, []string{`{"a": 0.0075}`}, []string{`{"a": 0.00751}`}},
		{`{"a": {"minimum": 1, "exclusiveMaximum": 3}}`, []string{`{"a": 1}`, `{"a": 2.99}`, `{"a": "x"}`}, []string{`{"a": 0.9}`, `{"a": 3}`}},
		{`{"a": {"maximum": 9007199254740992}}`, []string{`{"a": 9007199254740992}`}, []string{`{"a": 9007199254740993}`}},
		{`{"a": {"minimum": 1, "exclusiveMinimum": true}}`, []string{`{"a": 1.1}`}, []string{`{"a": 1}`}},
		// Values.
		{`{"a": {"enum": [{"x": [1, false]}]}}`, []string{`{"a": {"x": [1.0, false]}}`}, []string{`{"a": {"x": [1, 0]}}`, `{"a": {"x": [true, false]}}`}},
		{`{"a": {"const": null}}`, []string{`{"a": null}`}, []string{`{"a": 0}`, `{"a": false}`}},
		{`{"a": {"type": ["string", "null"]}}`, []string{`{"a": null}`, `{"a": ""}`}, []string{`{"a": 1}`, `{"a": {}}`}},
		// Lists.
		{`{S, "properties": {"a": {"prefixItems": [{"type": "integer"}], "items": {"type": "string"}}}}`,
			[]string{`{"a": [1, "x"]}`, `{"a": []}`}, []string{`{"a": ["x"]}`, `{"a": [1, 2]}`}},
		{`{"a": {"items": [{"type": "integer"}], "additionalItems": false}}`, []string{`{"a": [1]}`}, []string{`{"a": [1, 2]}`, `{"a": ["x"]}`}},
		{`{"a": {"contains": {"const": 1}, "minContains": 2, "maxContains": 2}}`, []string{`{"a": [1, 0, 1]}`}, []string{`{"a": [1]}`, `{"a": [1, 1, 1]}`}},
		{`{"a": {"uniqueItems": true, "minItems": 1, "maxItems": 2}}`, []string{`{"a": [1, true]}`, `{"a": [0]}`}, []string{`{"a": [1, 1.0]}`, `{"a": []}`, `{"a": [1, 2, 3]}`}},
		{`{S, "properties": {"a": {"prefixItems": [true], "unevaluatedItems": false}}}`, []string{`{"a": [1]}`}, []string{`{"a": [1, 2]}`}},
		// Objects.
		{`{S, "patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": false}`, []string{`{"x1": 1}`, `{}`}, []string{`{"x1": "a"}`, `{"y": 1}`}},
		{`{S, "propertyNames": {"maxLength": 2}, "minProperties": 1, "maxProperties": 2}`, []string{`{"ab": 1}`}, []string{`{"abc": 1}`, `{}`, `{"a": 1, "b": 1, "c": 1}`}},
		{`{S, "properties": {"__proto__": {"type": "number"}, "constructor": {"type": "number"}}}`, []string{`{}`, `{"__proto__": 1}`}, []string{`{"__proto__": "x"}`, `{"constructor": {}}`}},
		{`{S, "dependentSchemas": {"a": {"required": ["b"]}}}`, []string{`{"b": 1}`}, []string{`{"a": 1}`}},
		{`{S, "allOf": [{"properties": {"a": true}}], "unevaluatedProperties": false}`, []string{`{"a": 1}`}, []string{`{"b": 1}`}},
		// Combinations.
		{`{S, "properties": {"a": {"anyOf": [{"type": "integer"}, {"minimum": 2}]}}}`, []string{`{"a": 1}`, `{"a": 2.5}`}, []string{`{"a": 1.5}`}},
		{`{S, "properties": {"a": {"oneOf": [{"type": "integer"}, {"minimum": 2}]}}}`, []string{`{"a": 1}`, `{"a": 2.5}`}, []string{`{"a": 3}`, `{"a": 1.5}`}},
		{`{S, "if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}`, []string{`{"a": 1, "b": 1}`, `{"c": 1}`}, []string{`{"a": 1}`, `{}`}},
		{`{S, "properties": {"a": false, "b": true, "c": {"not": {}}}}`, []string{`{"b": 1}`}, []string{`{"a": 1}`, `{"c": 1}`}},
		{`{"a": {"disallow": "string"}, "b": {"divisibleBy": 3}, "c": {"extends": {"type": "integer"}}}`, []string{`{"a": 1, "b": 6, "c": 1}`}, []string{`{"a": "x", "b": 6, "c": 1}`, `{"a": 1, "b": 7, "c": 1}`, `{"a": 1, "b": 6, "c": ""}`}},
	} {
		s, err := New(object(t, strings.Replace(tt.schema, "{S,", `{"$schema": "https://json-schema.org/draft/2020-12/schema",`, 1)))
		if err != nil {
			t.Errorf("%s: %v", tt.schema, err)
			continue
		}
		for want, list := range map[bool][]string{true: tt.good, false: tt.bad} {
			for _, args := range list {
				root, _ := jsontext.Parse("args", []byte(args))
				problems := s.Check(object(t, args), func(names ...string) jsontext.Place { return root.Locate(names...) })
				if (problems == nil) != want {
					t.Errorf("%s given %s: %v, want valid: %t", tt.schema, args, problems, want)
				}
			}
		}
	}
}

// TestRefused has schemas that would not do what their author wants.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"database": {"host": {"type": "string"}}}`:                                            `"database": {"type": "object", "properties"`,
		`{"type": "object", "properties": {"a": {"properties": {"b": {"c": {"default": 1}}}}}}`: `"b" has the names`,
		`{"a": {"pattern": "("}}`:                                                               "regex",
		`{"a": {"pattern": "\\p{Nonsense}"}}`:                                                   "regex",
		`{"a": {"$ref": "http://example.org/schema"}}`:                                          "only references within the manifest",
		`{"$schema": "http://example.org/x", "type": "null"}`:                                   "no known version",
	} {
		if _, err := New(object(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{
		`{"a": {"x-ui": {"type": "select"}}}`, `{"a": {"note": {"any": "thing"}}}`, `{"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"a": {"b": {"type": "string"}}}}`,
	} {
		if _, err := New(object(t, text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
