//go:build linux

package pack

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"cloudlets/images"
)

// TestExtractEndsWhenADirectoryCannotBeMade prevents a hang: the reader of the
// stream once waited for workers that had left.
func TestExtractEndsWhenADirectoryCannotBeMade(t *testing.T) {
	var list memSource
	list = append(list, memFile{Entry: images.Entry{Path: "/", Type: images.Directory, Mode: 0o755}})
	list = append(list, memFile{Entry: images.Entry{Path: "/blocked", Type: images.Directory, Mode: 0o755}})
	for i := range 40 {
		content := bytes.Repeat([]byte{byte(i + 1)}, FrameSize)
		list = append(list, memFile{Entry: images.Entry{Path: fmt.Sprintf("/f%02d", i), Type: images.Regular, Mode: 0o644, Size: FrameSize}, content: content})
	}
	var buf bytes.Buffer
	if _, err := Write(t.Context(), &buf, list, Options{}); err != nil {
		t.Fatal(err)
	}
	p, err := Open(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/blocked", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Extract(t.Context(), Local{R: bytes.NewReader(buf.Bytes())}, p.TOC(), dir, ExtractOptions{}); err == nil {
		t.Error("a file in the place of a directory went unnoticed")
	}
}
