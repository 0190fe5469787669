package depot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cloudlets/images/imagetest"
	"cloudlets/images/pack"
)

// packFile makes a pack with a file of that content.
func packFile(t *testing.T, content string) (File, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pack")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var m imagetest.Memory
	m.Dir("/")
	m.File("/f", []byte(content))
	info, err := pack.Write(t.Context(), f, m, pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return File{Digest: info.Digest, Size: info.Size}, name
}

// TestPacksStayOpen: all who read a pack at a time share it, a few stay open for
// those who come next, and at the end none is left open.
func TestPacksStayOpen(t *testing.T) {
	var s shelf
	s.keep(true)
	first, path := packFile(t, "first")
	var all sync.WaitGroup
	shared := make(chan *pack.Pack, 8)
	for range cap(shared) {
		all.Go(func() {
			p, done, err := s.take(first, path)
			if err != nil {
				t.Error(err)
				return
			}
			defer done()
			if text := imagetest.Contents(t, p)["/f"]; !strings.HasSuffix(text, "first") {
				t.Errorf("the pack has %q", text)
			}
			shared <- p
		})
	}
	all.Wait()
	one := <-shared
	for range cap(shared) - 1 {
		if other := <-shared; other != one {
			t.Error("a pack was opened twice")
		}
	}
	reading, done, err := s.take(first, path)
	if err != nil || reading != one {
		t.Fatalf("it did not stay open: %v", err)
	}
	for i := range 2 * keptOpen {
		_, ended, err := s.take(packFile(t, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		ended()
	}
	if len(s.packs) != keptOpen+1 {
		t.Errorf("%d packs are open", len(s.packs))
	}
	s.keep(false)
	if len(s.packs) != 1 || !strings.HasSuffix(imagetest.Contents(t, reading)["/f"], "first") {
		t.Errorf("of %d open packs, the one that is read is none", len(s.packs))
	}
	done()
	if len(s.packs) != 0 {
		t.Errorf("%d packs are left open", len(s.packs))
	}
}

// TestPackThatIsNotThere: the next one who asks finds it.
func TestPackThatIsNotThere(t *testing.T) {
	s := shelf{keeps: true}
	f, path := packFile(t, "late")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.take(f, path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	_, done, err := s.take(f, path)
	if err != nil {
		t.Fatal(err)
	}
	done()
}
