package images

import "testing"

// manifestOf is the manifest of a text.
func manifestOf(t testing.TB, text string) *Manifest {
	t.Helper()
	m, err := ParseManifest("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// configOf is the configuration of a text.
func configOf(t testing.TB, text string) Config {
	t.Helper()
	c, err := ParseConfig("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
