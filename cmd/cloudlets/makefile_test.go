package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Tests that the Makefile leaves out under the race detector run without it. Their names
// count in all packages, so one that is in another package too would run nowhere.
func TestNoTestIsLeftOut(t *testing.T) {
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	variable := func(name string) string {
		t.Helper()
		m := regexp.MustCompile(`(?m)^` + name + `\s*:=\s*(.*)$`).FindStringSubmatch(string(text))
		if m == nil {
			t.Fatalf("the Makefile has no variable %s", name)
		}
		return m[1]
	}
	names := strings.Split(strings.Trim(variable("UNRACED"), "^()$"), "|")
	names = append(names, strings.Trim(variable("BOTH"), "^$"))
	without := strings.Fields(variable("UNRACED_IN"))
	for _, name := range names {
		var found []string
		for _, pattern := range strings.Fields(variable("RACED")) {
			found = append(found, packagesWith(t, pattern, "func "+name+"(")...)
		}
		if len(found) == 0 {
			t.Errorf("the Makefile names %s, and no test is called so", name)
		}
		for _, p := range found {
			if !slices.Contains(without, p) {
				t.Errorf("%s is in %s too, which is not in UNRACED_IN: it runs nowhere", name, p)
			}
		}
	}
}

// A benchmark that moves to another package is not left behind by `make bench`.
func TestBenchHasBenchmarks(t *testing.T) {
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, found := strings.Cut(string(text), "\nbench: ")
	if !found {
		t.Fatal("the Makefile has no target bench")
	}
	recipe, _, _ = strings.Cut(recipe, "\n\n")
	packages := regexp.MustCompile(`\./(cmd|dhcp|httpboot|images|provision|testdata|tftp|web)\S*`).FindAllString(recipe, -1)
	if len(packages) < 10 {
		t.Fatalf("the target bench names %q, and should name more packages", packages)
	}
	for _, p := range packages {
		if len(packagesWith(t, p, "func Benchmark")) == 0 {
			t.Errorf("the target bench names %s, which has no benchmark", p)
		}
	}
}

// packagesWith returns the packages of a pattern, such as "./web/...", whose tests have a text.
func packagesWith(t *testing.T, pattern, text string) (found []string) {
	t.Helper()
	dir, deep := strings.CutSuffix(pattern, "/...")
	err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		in := "./" + filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), "../../"))
		if in != dir && !deep {
			return nil
		}
		content, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(content), "\n"+text) && !slices.Contains(found, in) {
			found = append(found, in)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
