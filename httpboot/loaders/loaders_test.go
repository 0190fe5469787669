package loaders

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ownLoader is a site with a machine that has a boot loader of its own.
type ownLoader struct{}

func (ownLoader) IsBootFile(name string) bool { return strings.EqualFold(name, "Own.efi") }

// TestLoadersAreFoundInAnyCase: some firmware asks for all names in capitals.
func TestLoadersAreFoundInAnyCase(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"undionly.kpxe", "Own.efi", "secret.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := Files{Dir: dir, Site: ownLoader{}}
	for _, name := range []string{"undionly.kpxe", "UNDIONLY.KPXE", "Own.efi", "own.efi", "OWN.EFI"} {
		if text, err := fs.ReadFile(files, name); err != nil || !strings.EqualFold(string(text), name) {
			t.Errorf("%s has %q: %v", name, text, err)
		}
	}
	if _, err := files.Open("SECRET.TXT"); err == nil {
		t.Error("a file that no machine boots is given out")
	}
}
