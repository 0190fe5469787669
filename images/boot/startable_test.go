package boot

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestStartable(t *testing.T) {
	image := arm64Image() + strings.Repeat("code ", 1<<16)
	for name, c := range map[string]struct{ file, want, reason string }{
		"Image":         {image, image, ""},
		"Image in gzip": {gzipped(image), image, ""},
		"EFI program":   {efiProgram(0xaa64), efiProgram(0xaa64), ""},
		"empty":         {"", "", ""},
		"broken gzip":   {"\x1f\x8b\x08 and more", "", "unpack a kernel"},
		"gzip cut off":  {gzipped(image)[:200], "", "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(c.file)), nil }
			size, err := StartableSize(open, int64(len(c.file)))
			if c.reason != "" {
				if err == nil || !strings.Contains(err.Error(), c.reason) {
					t.Errorf("got %v, want an error with %q", err, c.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r, err := Startable(open)()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, []byte(c.want)) || size != int64(len(c.want)) {
				t.Errorf("it has %d bytes, said to be %d, want %d: %v", len(got), size, len(c.want), err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAnUnpackedKernelIsBounded: a few bytes of gzip may unpack to many.
func TestAnUnpackedKernelIsBounded(t *testing.T) {
	if got, err := io.ReadAll(&bounded{strings.NewReader("1234"), 4}); err != nil || string(got) != "1234" {
		t.Errorf("as long as the bound: %q, %v", got, err)
	}
	if _, err := io.ReadAll(&bounded{strings.NewReader("12345"), 4}); err == nil || !strings.Contains(err.Error(), "longer than the") {
		t.Errorf("one byte longer: %v", err)
	}
}
