package schema

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/jsontext"
)

// suiteModule has the cases of draft 2020-12 of the JSON-Schema-Test-Suite among its tests.
const suiteModule = "github.com/google/jsonschema-go@v0.4.2"

// What comes of the cases: docs/FORMAT.md has these numbers.
const suiteAgrees, suiteRefused = 1055, 44

// suiteGroup is a schema of the suite, and values with what it says of them.
type suiteGroup struct {
	Description string
	Schema      any
	Tests       []struct {
		Description string
		Data        any
		Valid       bool
	}
}

// TestSuite asks the cases of the JSON-Schema-Test-Suite, each as the schema of one argument.
// Schemas that refer to other documents are refused, and nothing else is.
func TestSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite may have to be downloaded")
	}
	agrees, refused := 0, 0
	for name, groups := range suite(t) {
		for _, g := range groups {
			s, err := New(ofOneArgument(g.Schema))
			if err != nil {
				if refused += len(g.Tests); !strings.Contains(err.Error(), "only references within the manifest are allowed") {
					t.Errorf("%s: %s is refused: %v", name, g.Description, err)
				}
				continue
			}
			for _, c := range g.Tests {
				args := map[string]any{"x": c.Data}
				text, err := json.Marshal(args)
				if err != nil {
					t.Fatal(err)
				}
				root, _ := jsontext.Parse("args", text)
				problems := s.Check(args, func(names ...string) jsontext.Place { return root.Locate(names...) })
				if (len(problems) == 0) != c.Valid {
					t.Errorf("%s: %s: %s: want valid: %t, have %v", name, g.Description, c.Description, c.Valid, problems)
				}
				agrees++
			}
		}
	}
	if agrees != suiteAgrees || refused != suiteRefused {
		t.Errorf("%d cases agree and %d are refused, want %d and %d", agrees, refused, suiteAgrees, suiteRefused)
	}
}

// ofOneArgument is a manifest's schema whose argument x has a schema, which stays a document
// of its own for its references.
func ofOneArgument(schema any) map[string]any {
	if object, ok := schema.(map[string]any); ok {
		delete(object, "$schema")
		if object["$id"] == nil {
			object["$id"] = "urn:example:case"
		}
	}
	return map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": map[string]any{"x": schema},
	}
}

// suite reads the files of the suite, by their names.
func suite(t *testing.T) map[string][]suiteGroup {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", suiteModule)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var module struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(out, &module)
	}
	if err != nil {
		t.Fatalf("download the suite: go mod download %s: %v: %s", suiteModule, err, out)
	}
	files, err := filepath.Glob(filepath.Join(module.Dir, "jsonschema/testdata/draft2020-12/*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no cases: %v", module.Dir, err)
	}
	all := map[string][]suiteGroup{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var groups []suiteGroup
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&groups); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = groups
	}
	return all
}
