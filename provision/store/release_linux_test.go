package store

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLargeStoreGivesPagesBack: while a large store is written to, what it has read
// does not stay in this process's memory, and can be read again.
func TestLargeStoreGivesPagesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const keys, size = 1000, 32 << 10
	put := func(n int) {
		err := s.Update(t.Context(), func(tx Tx) error { return tx.Put("big", fmt.Sprint(n), []byte(strings.Repeat("x", size))) })
		if err != nil {
			t.Fatal(err)
		}
	}
	read := func() (found int) {
		err := s.View(t.Context(), func(tx Tx) error {
			return tx.Scan("big", "", "", func(_ string, value []byte) error {
				found += strings.Count(string(value), "x")
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for n := range keys {
		put(n)
	}
	if got := read(); got != keys*size || mappedKiB(t, path) < keys*size>>10/2 {
		t.Fatalf("%d bytes were read, %d KiB of the file are in memory", got, mappedKiB(t, path))
	}
	s.released = time.Time{} // it is long ago
	put(0)
	if left := mappedKiB(t, path); left > 1<<10 {
		t.Errorf("%d KiB of the file are still in memory", left)
	}
	if got := read(); got != keys*size {
		t.Errorf("%d bytes were read afterwards", got)
	}
}

// mappedKiB returns how much of a file this process has in its memory.
func mappedKiB(t *testing.T, path string) (total int) {
	t.Helper()
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	of := false
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		line := lines.Text()
		var from, to, kib int
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			of = strings.HasSuffix(line, " "+path)
		} else if n, _ := fmt.Sscanf(line, "Rss: %d kB", &kib); n == 1 && of {
			total += kib
		}
	}
	return total
}
