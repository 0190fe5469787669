package imagetest

import (
	"testing"

	"cloudlets/images/manifest"
)

// Manifest parses a manifest.
func Manifest(t testing.TB, text string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Config parses a configuration.
func Config(t testing.TB, text string) manifest.Config {
	t.Helper()
	c, err := manifest.ParseConfig("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
