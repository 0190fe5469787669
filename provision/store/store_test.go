package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudlets/provision/store"
	"cloudlets/provision/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Conformance(t, func(*testing.T) store.Store { return &store.Memory{} })
}

func TestFile(t *testing.T) {
	storetest.Conformance(t, func(t *testing.T) store.Store {
		return openFile(t, filepath.Join(t.TempDir(), "state", "store.db"))
	})
}

// TestFunctionsThatRunTwice: a transaction does the same when its function runs
// twice, as it may.
func TestFunctionsThatRunTwice(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		storetest.Conformance(t, func(*testing.T) store.Store { return storetest.Twice(&store.Memory{}) })
	})
	t.Run("file", func(t *testing.T) {
		storetest.Conformance(t, func(t *testing.T) store.Store {
			return storetest.Twice(openFile(t, filepath.Join(t.TempDir(), "store.db")))
		})
	})
}

func openFile(t *testing.T, path string) *store.File {
	t.Helper()
	s, err := store.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// transactor is what a test needs of a store.
type transactor interface {
	View(context.Context, func(store.Tx) error) error
	Update(context.Context, func(store.Tx) error) error
}

func putKey(t *testing.T, s transactor, value string) {
	t.Helper()
	if err := s.Update(t.Context(), func(tx store.Tx) error { return tx.Put("b", "k", []byte(value)) }); err != nil {
		t.Fatal(err)
	}
}

func getKey(t *testing.T, s transactor) (value []byte) {
	t.Helper()
	err := s.View(t.Context(), func(tx store.Tx) (err error) {
		value, err = tx.Get("b", "k")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestFileStoreSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "store.db")
	s := openFile(t, path)
	putKey(t, s, "v")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if v := getKey(t, openFile(t, path)); string(v) != "v" {
		t.Errorf("got %q", v)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestOpenFileNamesTheProcessThatHasTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	openFile(t, path)
	_, err := store.OpenFile(path)
	if err == nil {
		t.Fatal("the same store was opened twice")
	}
	for _, want := range []string{path, fmt.Sprintf("process %d", os.Getpid()), "stop that process"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestOpenFileRefusesAFileThatIsNotAStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, slices.Repeat([]byte("not a store "), 2000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenFile(path); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("got %v", err)
	}
}
