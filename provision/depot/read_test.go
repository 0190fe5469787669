package depot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSmallFilesAreKeptInMemory: a small file is read once, a large one is the file
// itself, what is kept has a bound, and what is no digest is no file.
func TestSmallFilesAreKeptInMemory(t *testing.T) {
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d := &Depot{dir: t.TempDir()}
	must(t, os.Mkdir(filepath.Join(d.dir, "files"), 0o755))
	put := func(size int, first byte) string {
		content := make([]byte, size)
		content[0] = first
		sum := sha256.Sum256(content)
		digest := "sha256:" + hex.EncodeToString(sum[:])
		must(t, os.WriteFile(d.Path(digest), content, 0o600))
		return digest
	}
	small, large := put(smallContent, 1), put(smallContent+1, 2)
	for digest, size := range map[string]int64{small: smallContent, large: smallContent + 1} {
		for range 2 {
			r, err := d.Open(digest)
			must(t, err)
			sum := sha256.New()
			n, err := io.Copy(sum, r)
			must(t, errors.Join(err, r.Close()))
			if n != size || r.Size != size || digest != "sha256:"+hex.EncodeToString(sum.Sum(nil)) {
				t.Errorf("%d bytes are read of a file of %d", n, size)
			}
			if _, isFile := r.ReadSeeker.(*os.File); isFile != (digest == large) {
				t.Errorf("the file of %d bytes is read from the disk: %v", size, isFile)
			}
			if digest == small { // the second time it is not needed
				_ = os.Remove(d.Path(digest))
			}
		}
	}
	for i := range maxSmall/smallContent + 8 {
		r, err := d.Open(put(smallContent, byte(i)))
		must(t, errors.Join(err, r.Close()))
		if d.small.bytes > maxSmall || d.small.bytes != len(d.small.content)*smallContent {
			t.Fatalf("%d bytes are kept, in %d files", d.small.bytes, len(d.small.content))
		}
	}
	for _, none := range []string{"sha256:" + strings.Repeat("0", 64), "sha256:../x", ""} {
		if _, err := d.Open(none); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %q: %v", none, err)
		}
	}
}
