package site_test

import (
	"strings"
	"testing"
)

// TestDigest: two copies of a site have the same digest if their machines' files
// say the same.
func TestDigest(t *testing.T) {
	digest := func(file, args string) string {
		return open(t, folder(t, map[string]string{"machines/" + file + ".json": `{"image": "web", "config": {"args": {"port": ` + args + `}}}`})).Digest()
	}
	one := digest("52:54:00:00:00:01", "80")
	if other := digest("52:54:00:00:00:01", "80 // as always\n"); other != one || !strings.HasPrefix(one, "sha256:") {
		t.Errorf("the same site has the digests %s and %s", one, other)
	}
	for _, other := range []string{digest("52:54:00:00:00:01", "81"), digest("52:54:00:00:00:02", "80")} {
		if other == one {
			t.Error("two sites that differ have the same digest")
		}
	}
}
