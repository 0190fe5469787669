package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestReferenceIsUpToDate: the reference in docs is the one that the program prints.
func TestReferenceIsUpToDate(t *testing.T) {
	have, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference.md"))
	if err != nil || string(have) != reference() {
		t.Errorf("docs/reference.md is out of date (%v); this renews it: go run ./cmd/cloudlets reference >docs/reference.md", err)
	}
}
