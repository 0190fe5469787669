package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/provision/site"
)

// TestGroupExample reads the examples of groups, in the reference and in docs, as a site would.
func TestGroupExample(t *testing.T) {
	operation, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "operation.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(operation), "## Groups\n")
	_, rest, _ = strings.Cut(rest, "```jsonc\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/operation.md has no example of a group")
	}
	for _, text := range []string{groupExample, example} {
		dir := t.TempDir()
		for name, text := range map[string]string{"machines/rack3.json": text, "profiles/web.json": "{}"} {
			file := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		s, err := site.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Problems() {
			t.Errorf("the example of a group: %v", p)
		}
		if spec, ok := s.Spec("52:54:00:00:03:04"); !ok || spec.Hostname != "r3-04" || spec.Address.String() != "10.0.3.14" {
			t.Errorf("the example of a group reads as %+v", spec)
		}
	}
}

// TestReferenceIsUpToDate: the reference in docs is the one that the program prints.
func TestReferenceIsUpToDate(t *testing.T) {
	have, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "reference.md"))
	if err != nil || string(have) != reference() {
		t.Errorf("docs/reference.md is out of date (%v); this renews it: go run ./cmd/cloudlets reference >docs/reference.md", err)
	}
}
