package images

import "testing"

func TestImageName(t *testing.T) {
	for path, want := range map[string]string{
		"/a/debian-12": "debian-12", "/a/debian-12.tar": "debian-12", "/a/debian-12.tar.zst": "debian-12", "web.tgz": "web",
		"/a/sample.cloudlet/": "sample", "/a/.tar": ".tar", "/a/my.target": "my.target",
	} {
		if got := imageName(path); got != want {
			t.Errorf("name of %s is %q, want %q", path, got, want)
		}
	}
}
