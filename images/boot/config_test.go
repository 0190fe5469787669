package boot_test

import (
	"testing"

	"cloudlets/images/boot"
	"cloudlets/images/imagetest"
)

// TestLacks: what a kernel's configuration says counts, wherever it is. A kernel without
// one may have everything.
func TestLacks(t *testing.T) {
	const with, without = "CONFIG_EROFS_FS=m\nCONFIG_EROFS_FS_ZIP=y\n", "#\n# Linux\n#\nCONFIG_EROFS_FS=m\n# CONFIG_EROFS_FS_ZIP is not set\n"
	for name, c := range map[string]struct {
		files []string
		want  bool
	}{
		"none":               {[]string{"/boot/"}, false},
		"with it":            {[]string{"/boot/config-6.1 = " + with}, false},
		"without it":         {[]string{"/boot/config-6.1 = " + without}, true},
		"not mentioned":      {[]string{"/boot/config-6.1 = CONFIG_EROFS_FS=m\n"}, true},
		"a longer name":      {[]string{"/boot/config-6.1 = CONFIG_EROFS_FS_ZIP_LZMA=y\n"}, true},
		"of another kernel":  {[]string{"/boot/config-6.2 = " + without}, false},
		"beside the modules": {[]string{"/usr/lib/modules/6.1/config = " + without}, true},
		"by a link":          {[]string{"/boot/config-6.1 -> ../usr/lib/modules/6.1/config", "/usr/lib/modules/6.1/config = " + without}, true},
		"a dangling link":    {[]string{"/boot/config-6.1 -> nothing"}, false},
		"something else":     {[]string{"/boot/config-6.1 = hello\n"}, false},
	} {
		k := boot.Kernel{Version: "6.1", Modules: "/usr/lib/modules/6.1"}
		got, err := k.Lacks(imagetest.NewTree(c.files...), "EROFS_FS_ZIP")
		if err != nil || got != c.want {
			t.Errorf("%s: lacks it: %v, %v", name, got, err)
		}
	}
}

// TestHas: only what a configuration says counts, and only for the kernel that it is of.
func TestHas(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  bool
	}{
		"no configuration": {[]string{"/boot/"}, false},
		"with it":          {[]string{"/boot/config-6.12 = CONFIG_EROFS_FS=m\nCONFIG_EROFS_FS_ZIP_ZSTD=y\n"}, true},
		"without it":       {[]string{"/boot/config-6.12 = CONFIG_EROFS_FS=m\n# CONFIG_EROFS_FS_ZIP_ZSTD is not set\n"}, false},
		"no":               {[]string{"/boot/config-6.12 = CONFIG_EROFS_FS_ZIP_ZSTD=n\n"}, false},
		"as a module":      {[]string{"/boot/config-6.12 = CONFIG_EROFS_FS_ZIP_ZSTD=m\n"}, false},
		"not mentioned":    {[]string{"/boot/config-6.12 = CONFIG_EROFS_FS=m\n"}, false},
		"of another one":   {[]string{"/boot/config-6.13 = CONFIG_EROFS_FS_ZIP_ZSTD=y\n"}, false},
		"beside modules":   {[]string{"/usr/lib/modules/6.12/config = CONFIG_EROFS_FS_ZIP_ZSTD=y\n"}, true},
		"the first counts": {[]string{"/boot/config-6.12 = CONFIG_EROFS_FS=m\n", "/usr/lib/modules/6.12/config = CONFIG_EROFS_FS_ZIP_ZSTD=y\n"}, false},
	} {
		k := boot.Kernel{Version: "6.12", Modules: "/usr/lib/modules/6.12"}
		got, err := k.Has(imagetest.NewTree(c.files...), "EROFS_FS_ZIP_ZSTD")
		if err != nil || got != c.want {
			t.Errorf("%s: has it: %v, %v", name, got, err)
		}
	}
}

func TestIsAtLeast(t *testing.T) {
	for version, want := range map[string]bool{
		"": false, "5.4.0-216-generic": false, "6.1.0-9-amd64": false, "6.9.12": false, "6.10.0-rc3": false, "6.10": true, "6.10.0": true,
		"6.12.41+deb13-amd64": true, "6.18.1-arch1-1": true, "7.0": true,
	} {
		if got := (boot.Kernel{Version: version}).IsAtLeast("6.10"); got != want {
			t.Errorf("%q is at least 6.10: %v", version, got)
		}
	}
}
