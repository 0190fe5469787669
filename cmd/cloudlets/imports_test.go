package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// arrows are the imports that may be between the rooms of the house: down, and
// never up or across. Within a room Go itself forbids circles.
var arrows = map[string][]string{
	"cmd/cloudlets": {"web", "httpboot", "dhcp", "tftp", "provision", "images"},
	"cmd/demo":      {"testdata", "web", "provision", "images"},
	"web":           {"provision", "images"},
	"httpboot":      {"dhcp", "provision", "images"},
	"provision":     {"images"},
	"images":        {},
	"dhcp":          {},
	"tftp":          {},
	"testdata":      {},
}

// topLevel is what may stand in the repository's root.
var topLevel = []string{
	".cache", ".ci", ".git", ".gitignore", "ARCHITECTURE.md", "LICENSE", "Makefile", "README.md", "go.mod", "go.sum",
	"bin", "cmd", "dhcp", "docs", "httpboot", "images", "provision", "testdata", "tftp", "web",
}

// listed is what `go list` tells of a package.
type listed struct {
	Dir, ImportPath, Name, Doc string
	GoFiles, Imports           []string
}

// TestHouseRules holds this module to the rules that ARCHITECTURE.md states.
func TestHouseRules(t *testing.T) {
	packages := list(t)
	if len(packages) < 10 {
		t.Fatalf("go list shows only %d packages", len(packages))
	}
	for _, p := range packages {
		for _, broken := range append(p.violations(), p.inits(t)...) {
			t.Error(broken)
		}
	}
	root, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range root {
		if !slices.Contains(topLevel, entry.Name()) {
			t.Errorf("%s: a new entry in the repository's root; it needs a place in a folder, or a reason and a line in topLevel", entry.Name())
		}
	}
}

func list(t *testing.T) (packages []listed) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=Dir,ImportPath,Name,Doc,GoFiles,Imports", "./...", "./testdata/bed", "./testdata/needs")
	cmd.Dir = "../.."
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, problems.String())
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// violations are the rules that a package breaks, in words.
func (p listed) violations() (broken []string) {
	from := room(p.ImportPath)
	allowed, known := arrows[from]
	if !known {
		broken = append(broken, fmt.Sprintf("%s: the room %s is new; draw its arrows", p.ImportPath, from))
	}
	for _, imported := range p.Imports {
		if imported == "cloudlets/testdata/needs" && strings.HasSuffix(p.ImportPath, "test") {
			continue // what is for tests alone says what it needs, as they do
		}
		if to := room(imported); to != "" && to != from && !slices.Contains(allowed, to) {
			broken = append(broken, fmt.Sprintf("%s imports %s: %s may import %v", p.ImportPath, imported, from, allowed))
		}
	}
	switch last := path.Base(p.ImportPath); {
	case strings.HasSuffix(last, "util"), strings.HasSuffix(last, "utils"), last == "common", last == "helpers", last == "misc":
		broken = append(broken, fmt.Sprintf("%s: a package is named for what it has, not for being of use", p.ImportPath))
	}
	if p.Doc == "" {
		broken = append(broken, fmt.Sprintf("%s: it has no package comment", p.ImportPath))
	}
	return broken
}

// room is the part of the house that a package is in: the folder below the
// root, and of commands each by itself; "" for packages that are not ours.
func room(importPath string) string {
	inside, ours := strings.CutPrefix(importPath, "cloudlets/")
	if !ours {
		return ""
	}
	first, rest, _ := strings.Cut(inside, "/")
	if first == "cmd" {
		second, _, _ := strings.Cut(rest, "/")
		return "cmd/" + second
	}
	return first
}

// inits finds functions that run before main.
func (p listed) inits(t *testing.T) (broken []string) {
	t.Helper()
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if hasInit(file) {
			broken = append(broken, fmt.Sprintf("%s: %s has an init function: make what it makes where it is used", p.ImportPath, name))
		}
	}
	return broken
}

func hasInit(file *ast.File) bool {
	return slices.ContainsFunc(file.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Recv == nil && f.Name.Name == "init"
	})
}

// TestHouseRulesBite: the checks find what they are for.
func TestHouseRulesBite(t *testing.T) {
	for word, p := range map[string]listed{
		"dhcp may import []":         {ImportPath: "cloudlets/dhcp", Doc: "x", Imports: []string{"net", "cloudlets/provision"}},
		"tftp may import []":         {ImportPath: "cloudlets/tftp", Doc: "x", Imports: []string{"cloudlets/dhcp"}},
		"imports cloudlets/tftp":     {ImportPath: "cloudlets/httpboot", Doc: "x", Imports: []string{"cloudlets/tftp"}},
		"imports cloudlets/web":      {ImportPath: "cloudlets/provision/agent", Doc: "x", Imports: []string{"cloudlets/web"}},
		"imports cloudlets/httpboot": {ImportPath: "cloudlets/web", Doc: "x", Imports: []string{"cloudlets/httpboot"}},
		"imports cloudlets/testdata": {ImportPath: "cloudlets/cmd/cloudlets", Doc: "x", Imports: []string{"cloudlets/testdata/bed"}},
		"images may import []":       {ImportPath: "cloudlets/images/pack", Doc: "x", Imports: []string{"cloudlets/provision"}},
		"pack imports cloudlets/tes": {ImportPath: "cloudlets/images/pack", Doc: "x", Imports: []string{"cloudlets/testdata/needs"}},
		"the room internal is new":   {ImportPath: "cloudlets/internal/x", Doc: "x"},
		"not for being of use":       {ImportPath: "cloudlets/web/netutil", Doc: "x"},
		"it has no package comment":  {ImportPath: "cloudlets/web"},
		"":                           {ImportPath: "cloudlets/web", Doc: "x", Imports: []string{"cloudlets/web/page", "cloudlets/images/pack", "fmt"}},
	} {
		found := strings.Join(p.violations(), "\n")
		if !strings.Contains(found, word) || word == "" && found != "" {
			t.Errorf("%+v: found %q, want %q", p, found, word)
		}
	}
	dir := t.TempDir()
	for source, want := range map[string]int{"package x\nfunc init() {}": 1, "package x\ntype t int\nfunc (t) init() {}": 0} {
		if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		if found := (listed{Dir: dir, GoFiles: []string{"x.go"}}).inits(t); len(found) != want {
			t.Errorf("%q: found %q", source, found)
		}
	}
}
