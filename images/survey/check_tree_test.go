package survey

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images/imagetest"
)

func TestCheckTree(t *testing.T) {
	m := imagetest.Manifest(t, `{
 "templates": ["/opt/tool", "/etc/gone", "usr/lib", "/usr/bin/away", "/tmp/x"], "persistent": ["/srv"], "volatile": ["/tmp/.+"],
 "entrypoints": {
  "i": {"type": "init", "path": "/sbin/init"},
  "j": {"type": "init", "path": "/sbin/jnit", "default": true},
  "k": {"type": "kernel", "kernel": "/boot/vmlinuz-*"}}}`)
	err := CheckTree(m, imagetest.Programs())
	want := []string{
		`manifest of test:2:29: /templates/1: is "/etc/gone", but the image has no such file: add it, or remove it from the list`,
		`manifest of test:2:42: /templates/2: is "/usr/lib", but the image has no such file: add it, or remove it from the list`,
		`manifest of test:2:53: /templates/3: is "/usr/bin/away", but the image has no such file: add it, or remove it from the list`,
		`manifest of test:5:8: /entrypoints/j: resolve /sbin/jnit: entry /usr/sbin/jnit: file does not exist`,
		`manifest of test:6:8: /entrypoints/k: find a kernel by the manifest of test: no kernel at /boot/vmlinuz-*; install one in the image, or name it in the manifest's "entrypoints"`,
	}
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	if err := CheckTree(imagetest.Manifest(t, `{"templates": ["/bin/sh"], "persistent": ["/nowhere"]}`), imagetest.Programs()); err != nil {
		t.Error(err)
	}
}
