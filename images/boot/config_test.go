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
