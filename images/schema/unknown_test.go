package schema_test

import (
	"strings"
	"testing"

	"cloudlets/images/jsontext"
	"cloudlets/images/schema"
)

func TestUnknownArguments(t *testing.T) {
	for _, c := range []struct{ name, schema, args, want string }{
		{"misspelt", `{"role": {"type": "string", "optional": true}}`, `{"rolle": "x"}`, `/rolle: is not described by the manifest; did you mean "role"?`},
		{"far from all", `{"role": {"type": "string", "optional": true}}`, `{"colour": "x"}`, `/colour: is not described by the manifest`},
		{"within", `{"db": {"type": "object", "properties": {"host": {"type": "string", "optional": true}}}}`, `{"db": {"hots": "x"}}`, `/db/hots: is not described by the manifest; did you mean "host"?`},
		{"in a list", `{"of": {"type": "array", "items": {"type": "object", "properties": {"host": {"optional": true}}}}}`, `{"of": [{}, {"hst": 1}]}`, `/of/1/hst: is not described by the manifest; did you mean "host"?`},
		{"known", `{"role": {"type": "string"}}`, `{"role": "x"}`, ""},
		{"others are welcome", `{"type": "object", "properties": {"role": {"optional": true}}, "additionalProperties": true}`, `{"rolle": "x"}`, ""},
		{"others have a schema", `{"type": "object", "properties": {"role": {"optional": true}}, "additionalProperties": {"type": "string"}}`, `{"rolle": "x"}`, ""},
		{"described elsewhere", `{"type": "object", "properties": {"role": {"optional": true}}, "allOf": [{"properties": {"rolle": {"optional": true}}}]}`, `{"rolle": "x"}`, ""},
		{"nothing is described", `{}`, `{"rolle": "x"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, args := made(t, c.schema, c.args)
			wantProblems(t, s.Unknown(plain(args), args.Locate), c.want)
			if wrong := s.Check(s.Filled(plain(args)), args.Locate); len(wrong) > 0 {
				t.Errorf("what is only unknown is an error: %v", wrong)
			}
		})
	}
}

func TestForbiddenArgument(t *testing.T) {
	s, args := made(t, `{"type": "object", "properties": {"role": {"type": "string", "optional": true}}, "additionalProperties": false}`, `{"rolle": "x"}`)
	wantProblems(t, s.Check(plain(args), args.Locate), `/rolle: is not allowed by the manifest; did you mean "role"?`)
	wantProblems(t, s.Unknown(plain(args), args.Locate), "")
}

func made(t *testing.T, about, args string) (*schema.Schema, *jsontext.Node) {
	t.Helper()
	doc, problems := jsontext.Parse("manifest", []byte(about))
	if problems != nil {
		t.Fatal(problems)
	}
	s, err := schema.New(plain(doc))
	if err != nil {
		t.Fatal(err)
	}
	given, problems := jsontext.Parse("args", []byte(args))
	if problems != nil {
		t.Fatal(problems)
	}
	return s, given
}

func plain(n *jsontext.Node) map[string]any { return n.Plain().(map[string]any) }

// wantProblems wants one problem whose text ends so, or none if that is "".
func wantProblems(t *testing.T, found jsontext.Problems, want string) {
	t.Helper()
	if want == "" && len(found) > 0 || want != "" && (len(found) != 1 || !strings.HasSuffix(found[0].Error(), want)) {
		t.Errorf("found %v, want %q", found, want)
	}
}
