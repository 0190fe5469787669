package naming_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"cloudlets/provision/naming"
)

func TestFillNumber(t *testing.T) {
	for pattern, want := range map[string]string{
		"web":                "web",
		"":                   "",
		"r3-{n}":             "r3-7",
		"r3-{n:02}":          "r3-07",
		"10.0.3.{n+10}":      "10.0.3.17",
		"{n-1:03}.{n}":       "006.7",
		"fd77::{n+9}":        "fd77::16",
		`{{"outlet": {n}}}`:  `{"outlet": 7}`,
		"{n":                 "brace without the other",
		"n}":                 "brace without the other",
		"{}":                 "no part of a pattern",
		"{n:2}":              "no part of a pattern",
		"{n*2}":              "no part of a pattern",
		"{n+99999999999999}": "no part of a pattern",
		"{port}":             "there is no {port} here",
		"{n-8}":              "below 0",
	} {
		got, err := naming.FillNumber(pattern, 7)
		if err != nil && !strings.Contains(err.Error(), want) || err == nil && got != want {
			t.Errorf("%q: %q, %v; want %s", pattern, got, err, want)
		}
	}
}

func TestFillNames(t *testing.T) {
	p, err := naming.Parse("{switch}-{port:02}")
	if err != nil || !p.Has("port") || p.Has("n") {
		t.Fatalf("%+v, %v", p, err)
	}
	values := map[string]string{"switch": "sw3", "port": "7"}
	value := func(name string) (string, error) { return values[name], nil }
	if got, err := p.Fill(value); err != nil || got != "sw3-07" {
		t.Errorf("%q, %v", got, err)
	}
	values["port"] = "ethernet1-7"
	if _, err := p.Fill(value); err == nil || !strings.Contains(err.Error(), "no number") {
		t.Error(err)
	}
	missing := errors.New("it has no port")
	if _, err := p.Fill(func(string) (string, error) { return "", missing }); !errors.Is(err, missing) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"r3-{n:02}", "{{{n}}}", "}{", "{n+1}{n-1:09}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := naming.Parse(text)
		if err == nil && !strings.ContainsAny(text, "{}") {
			if got, err := p.Fill(nil); err != nil || got != text {
				t.Errorf("%q is filled to %q, %v", text, got, err)
			}
		}
	})
}

// TestSortKey: numbers in names count by their value.
func TestSortKey(t *testing.T) {
	names := []string{"Ethernet1/10", "ethernet1/9", "node10", "node2", "node", "node02a", "1", ""}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(naming.SortKey(a), naming.SortKey(b)) })
	want := []string{"", "1", "ethernet1/9", "Ethernet1/10", "node", "node2", "node02a", "node10"}
	if !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
}
