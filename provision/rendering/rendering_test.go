package rendering_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"cloudlets/images/boot"
	"cloudlets/images/manifest"
	"cloudlets/provision"
	"cloudlets/provision/rendering"
)

// seen is a renderer that keeps what templates see.
type seen struct{ data string }

func (s *seen) Render(_ context.Context, _ string, template []byte, data json.RawMessage) ([]byte, error) {
	s.data = string(data)
	return template, nil
}

// TestVarsAndTagsInTemplates: templates see them as env.vars and env.tags. The environment
// that a server notes for others has neither: vars may be passwords.
func TestVarsAndTagsInTemplates(t *testing.T) {
	m, err := manifest.Parse("manifest", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		vars map[string]any
		tags []string
		want []string
	}{
		{map[string]any{"rack": json.Number("3")}, []string{"db", "web"}, []string{`"vars":{"rack":3}`, `"tags":["db","web"]`, `"hostname":"node1"`}},
		{nil, nil, []string{`"vars":{}`, `"tags":[]`}},
	} {
		spec := &provision.Spec{MAC: "52:54:00:12:34:56", Hostname: "node1", Vars: test.vars, Tags: test.tags}
		env := rendering.Environment(spec, "", rendering.Facts{})
		var s seen
		r := rendering.Renderer{Spec: spec, Manifest: m, Render: &s, Env: env}
		if _, err := r.Cmdline(t.Context(), boot.Kernel{Cmdline: "rack=<%= env.vars.rack %>"}); err != nil {
			t.Fatal(err)
		}
		for _, want := range test.want {
			if !strings.Contains(s.data, want) {
				t.Errorf("templates see %s, want %s", s.data, want)
			}
		}
		if env["vars"] != nil || env["tags"] != nil {
			t.Errorf("the noted environment has them: %v", env)
		}
	}
}
