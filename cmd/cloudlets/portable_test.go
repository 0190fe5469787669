package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// onEveryHost are the packages that are for every host, with their tests: the program and
// what its verbs share, without the server, which is for Linux alone.
func onEveryHost() []string {
	return []string{
		".", "./agents", "./ask", "./exit", "./heap", "./imageflags", "./outfile", "./printing", "./sandbox", "./stdio", "./verbs/...",
		"../../images/...",
	}
}

// TestEveryHost checks the types of the program, and of the tests that are for it, as the
// compiler would for Windows, the host least like Linux. It generates no code, since that
// takes minutes: TestLongEveryHost does, for all hosts.
func TestEveryHost(t *testing.T) {
	const host = "windows/amd64"
	checked, verbs := 0, 0
	c := newTypeChecker(host)
	for _, p := range packagesFor(t, host, onEveryHost()...) {
		for _, err := range c.check(p) {
			t.Errorf("for %s: %v", host, err)
		}
		if p.ours() {
			checked++
		}
		if strings.Contains(p.ImportPath, "/verbs/") && strings.Contains(p.ImportPath, ".test]") {
			verbs++
		}
	}
	if checked < 10 || verbs == 0 {
		t.Errorf("only %d packages of ours were checked, %d of them verbs with their tests", checked, verbs)
	}
}

// TestEveryHostBites: what has no meaning on a host is found.
func TestEveryHostBites(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.go":   "package p\nimport \"syscall\"\nfunc f() { _ = syscall.SIGKILL }",
		"broken.go": "package p\nimport \"syscall\"\nfunc f() { syscall.Setns(1, 2) }",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := newTypeChecker("windows/amd64")
	for _, p := range packagesFor(t, "windows/amd64", "syscall") {
		if errs := c.check(p); errs != nil {
			t.Fatal(errs)
		}
	}
	for name, want := range map[string]string{"good.go": "[]", "broken.go": "undefined: syscall.Setns"} {
		got := fmt.Sprint(c.check(hostPackage{ImportPath: "cloudlets/p", Dir: dir, GoFiles: []string{name}}))
		if !strings.Contains(got, want) {
			t.Errorf("%s: found %s, want %s", name, got, want)
		}
	}
}

// hostPackage is what `go list` tells of a package, or of a package with its
// tests, for a host.
type hostPackage struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string
	Module          *struct{ GoVersion string }
}

func (p hostPackage) ours() bool { return strings.HasPrefix(p.ImportPath, "cloudlets/") }

// packagesFor lists packages with their tests for a host, and before each of
// them what it imports.
func packagesFor(t *testing.T, host string, patterns ...string) (packages []hostPackage) {
	t.Helper()
	args := append([]string{"list", "-deps", "-test", "-json=ImportPath,Dir,GoFiles,ImportMap,Module"}, patterns...)
	out := forHost(t, host, args...)
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p hostPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(p.ImportPath, ".test") { // a main function that the go tool writes
			packages = append(packages, p)
		}
	}
}

// typeChecker checks packages for a host, each after what it imports.
type typeChecker struct {
	arch  string
	files *token.FileSet
	known map[string]*types.Package
}

func newTypeChecker(host string) *typeChecker {
	_, arch, _ := strings.Cut(host, "/")
	return &typeChecker{arch, token.NewFileSet(), map[string]*types.Package{"unsafe": types.Unsafe}}
}

// check returns what the compiler would say of a package. Functions of other
// people's packages are taken as their declarations say.
func (c *typeChecker) check(p hostPackage) (errs []error) {
	if p.ImportPath == "unsafe" {
		return nil
	}
	var parsed []*ast.File
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(c.files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return []error{err}
		}
		parsed = append(parsed, file)
	}
	config := types.Config{
		Importer:         importer{c.known, p.ImportMap},
		IgnoreFuncBodies: !p.ours(),
		Sizes:            types.SizesFor("gc", c.arch),
		Error:            func(err error) { errs = append(errs, err) },
	}
	if p.Module != nil && p.Module.GoVersion != "" {
		config.GoVersion = "go" + p.Module.GoVersion
	}
	importPath, _, _ := strings.Cut(p.ImportPath, " ") // "p [p.test]" is p with its tests
	c.known[p.ImportPath], _ = config.Check(importPath, c.files, parsed, nil)
	return errs
}

// importer finds packages that were checked before, by the names that `go
// list` maps imports to.
type importer struct {
	known map[string]*types.Package
	names map[string]string
}

func (i importer) Import(name string) (*types.Package, error) {
	if mapped, ok := i.names[name]; ok {
		name = mapped
	}
	if p := i.known[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("import %s: go list did not list it before the package that imports it", name)
}

// forHost runs the go tool for a host, as "darwin/arm64", and returns what it
// prints.
func forHost(t *testing.T, host string, args ...string) []byte {
	t.Helper()
	system, arch, _ := strings.Cut(host, "/")
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Errorf("go %s for %s: %v\n%s", args[0], host, err, problems.String())
	}
	return out.Bytes()
}
