package target_test

import (
	"strings"
	"testing"

	"cloudlets/images/boot"
	"cloudlets/images/disk/erofs"
	"cloudlets/images/imagetest"
	"cloudlets/images/target"
)

// TestLiveCompression: zstd is chosen only if each kernel says that it reads it, because
// one that does not would not start.
func TestLiveCompression(t *testing.T) {
	const (
		zstd  = " = CONFIG_EROFS_FS=m\nCONFIG_EROFS_FS_ZIP=y\nCONFIG_EROFS_FS_ZIP_ZSTD=y\n"
		lz4   = " = CONFIG_EROFS_FS=m\nCONFIG_EROFS_FS_ZIP=y\n# CONFIG_EROFS_FS_ZIP_ZSTD is not set\n"
		plain = " = CONFIG_EROFS_FS=m\n# CONFIG_EROFS_FS_ZIP is not set\n"
	)
	for name, c := range map[string]struct {
		kernels, files []string
		want           erofs.Compression
		why            string
	}{
		"zstd":           {[]string{"6.12.1-a"}, []string{"/boot/config-6.12.1-a" + zstd}, erofs.ZSTD, "each kernel of the image reads it"},
		"first with it":  {[]string{"6.10.0"}, []string{"/boot/config-6.10.0" + zstd}, erofs.ZSTD, "each kernel"},
		"two with it":    {[]string{"6.12", "6.18"}, []string{"/boot/config-6.12" + zstd, "/lib/modules/6.18/config" + zstd}, erofs.ZSTD, "each kernel"},
		"without it":     {[]string{"6.12"}, []string{"/boot/config-6.12" + lz4}, erofs.LZ4, "kernel 6.12 was built without CONFIG_EROFS_FS_ZIP_ZSTD"},
		"one without it": {[]string{"6.18", "6.12"}, []string{"/boot/config-6.18" + zstd, "/boot/config-6.12" + lz4}, erofs.LZ4, "kernel 6.12 was built without"},
		"too old":        {[]string{"6.9.12"}, []string{"/boot/config-6.9.12" + zstd}, erofs.LZ4, "zstd needs Linux 6.10, and the image has kernel 6.9.12"},
		"one too old":    {[]string{"6.18", "6.1"}, []string{"/boot/config-6.18" + zstd, "/boot/config-6.1" + zstd}, erofs.LZ4, "kernel 6.1"},
		"not known":      {[]string{"6.18"}, []string{"/boot/"}, erofs.LZ4, "the image has no /boot/config-6.18"},
		"one not known":  {[]string{"6.18", "6.12"}, []string{"/boot/config-6.18" + zstd}, erofs.LZ4, "the image has no /boot/config-6.12"},
		"no kernel":      {nil, []string{"/boot/config-6.18" + zstd}, erofs.LZ4, "no kernel of the image is known"},
		"of another one": {[]string{"6.18"}, []string{"/boot/config-6.12" + zstd}, erofs.LZ4, "/boot/config-6.18"},
		"none":           {[]string{"6.18", "6.12", "6.1"}, []string{"/boot/config-6.18" + zstd, "/boot/config-6.12" + plain}, erofs.None, "kernel 6.12 was built without CONFIG_EROFS_FS_ZIP"},
	} {
		var kernels []boot.Kernel
		for _, version := range c.kernels {
			kernels = append(kernels, boot.Kernel{Version: version, Modules: "/lib/modules/" + version})
		}
		got, err := target.LiveCompression(imagetest.NewTree(c.files...), kernels...)
		if err != nil || got.Compression != c.want || !strings.Contains(got.Why, c.why) {
			t.Errorf("%s: %s since %q (%v), want %s since %q", name, got.Compression, got.Why, err, c.want, c.why)
		}
	}
}
