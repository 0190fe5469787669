//go:build long

package bed_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"cloudlets/testdata/bed"
)

// TestLongRecipe does what the documentation says to make a cloudlet of Debian from nothing,
// word for word, and boots it.
func TestLongRecipe(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/images.md")
	if err != nil {
		t.Fatal(err)
	}
	recipe := regexp.MustCompile("(?m)^\\| Debian \\| `(mmdebstrap [^`]*)`").FindSubmatch(text)
	if recipe == nil {
		t.Fatal("docs/images.md has no recipe for Debian")
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	dir := t.TempDir()
	for _, command := range []string{
		string(recipe[1]),
		`"$CLOUDLETS" import root.tar web`,
		`"$CLOUDLETS" init web --templates`,
		`"$CLOUDLETS" disk web --out web.img --env hostname=recipe --cmdline console=ttyS0`,
	} {
		c := exec.CommandContext(ctx, "sh", "-c", command)
		c.Dir, c.Env = dir, append(os.Environ(), "CLOUDLETS="+binary)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	m := bootAlone(ctx, t, bed.Spec{MAC: "52:54:00:00:0a:02", Firmware: bed.BIOS, LocalOnly: true, Disks: []bed.Disk{{File: filepath.Join(dir, "web.img")}}})
	expect(ctx, t, m, "recipe login: ")
}
