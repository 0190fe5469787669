package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"cloudlets/images/ejs"
	"cloudlets/images/manifest"
	"cloudlets/images/metadata"
)

// formatExample is one block of code of docs/FORMAT.md: its language, and
// what kind of example it is.
var formatExample = regexp.MustCompile("(?ms)^```(json manifest|json config|ejs|metadata)\n(.*?)^```$")

// TestFormat reads every example of the format's specification.
func TestFormat(t *testing.T) {
	text, err := os.ReadFile("../../docs/FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := map[string][]string{}
	for _, found := range formatExample.FindAllStringSubmatch(string(text), -1) {
		examples[found[1]] = append(examples[found[1]], found[2])
	}
	if blocks := strings.Count(string(text), "\n```") / 2; blocks != len(examples["json manifest"])+len(examples["json config"])+len(examples["ejs"])+len(examples["metadata"]) {
		t.Errorf("of %d blocks of code some are of no kind that is read here", blocks)
	}
	manifests := parseManifests(t, examples["json manifest"])
	t.Run("shorthand", func(t *testing.T) {
		var forms []string
		for _, m := range manifests[1:3] { // the two that "mean the same"
			_, missing := m.ValidateArgs([]byte(`{}`))
			full, err := m.ValidateArgs([]byte(`{"role": "x"}`))
			out, _ := json.Marshal(full)
			forms = append(forms, strings.ReplaceAll(missing.Error(), m.Name, "")+string(out))
			if err != nil {
				t.Error(err)
			}
		}
		if forms[0] != forms[1] {
			t.Errorf("they do not mean the same:\n%s\n%s", forms[0], forms[1])
		}
	})
	for _, text := range examples["json config"] {
		c, err := manifest.ParseConfig("example", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		complete, err := manifests[0].Complete(c)
		if err != nil {
			t.Fatalf("the example of a configuration does not fit the example of a manifest: %v", err)
		}
		for _, template := range examples["ejs"] {
			renderExample(t, template, complete)
		}
	}
	for _, text := range examples["metadata"] {
		f, err := metadata.Parse(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		var again strings.Builder
		if _, err := f.WriteTo(&again); err != nil || again.String() != text {
			t.Errorf("the example of metadata is written as (%v)\n%s", err, again.String())
		}
	}
}

func parseManifests(t *testing.T, texts []string) (manifests []*manifest.Manifest) {
	t.Helper()
	if len(texts) < 4 {
		t.Fatalf("only %d manifests in the specification", len(texts))
	}
	for _, text := range texts {
		m, err := manifest.Parse("example", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		manifests = append(manifests, m)
	}
	return manifests
}

func renderExample(t *testing.T, template string, c manifest.Config) {
	t.Helper()
	data, err := json.Marshal(map[string]any{"args": c.Args, "ip": c.IP, "dns": c.DNS, "env": map[string]any{"hostname": "web1"}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := (&ejs.Renderer{}).Render(t.Context(), "example", []byte(template), data)
	if want := "web1: shop\naddress 10.0.0.11/24\n"; err != nil || string(out) != want {
		t.Errorf("the template gives %q, %v; want %q", out, err, want)
	}
}
