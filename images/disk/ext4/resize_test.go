package ext4_test

import (
	"bytes"
	"os"
	"testing"

	"cloudlets/images/disk/ext4"
	"cloudlets/images/imagetest"
)

// TestResizeIsAPlanOfThatSize lays everything out as small as it can be, then
// for a larger disk: the result is what a plan for that disk gives.
func TestResizeIsAPlanOfThatSize(t *testing.T) {
	t.Parallel()
	var tiny imagetest.Memory
	tiny.Dir("/")
	for name, c := range map[string]struct {
		src  imagetest.Memory
		size int64
	}{
		"everything":             {imagetest.Everything(), 130<<20 + 4096},
		"the journal goes":       {tiny, 7 << 20}, // too small for one by itself
		"and comes with its own": {tiny, 9 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			opts := ext4.Options{UUID: someUUID, Free: 1 << 20}
			resized, err := ext4.Plan(t.Context(), c.src, opts)
			if err != nil {
				t.Fatal(err)
			}
			if err := resized.Resize(c.size); err != nil {
				t.Fatal(err)
			}
			planned, err := ext4.Plan(t.Context(), c.src, ext4.Options{UUID: someUUID, Size: c.size})
			if err != nil {
				t.Fatal(err)
			}
			img := write(t, resized)
			fsck(t, img)
			if got, want := readFile(t, img), readFile(t, write(t, planned)); !bytes.Equal(got, want) {
				t.Errorf("the resized filesystem of %d bytes is not the planned one of %d", len(got), len(want))
			}
		})
	}
}

func TestResizeBelowWhatTheFilesTake(t *testing.T) {
	t.Parallel()
	l, err := ext4.Plan(t.Context(), imagetest.Everything(), ext4.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, l.Resize(l.Size()/2), ext4.ErrTooSmall, "resize")
	wantError(t, l.Resize(1), ext4.ErrTooSmall, "resize")
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
