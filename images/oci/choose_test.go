package oci

import (
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// TestChoosing opens layouts with several images.
func TestChoosing(t *testing.T) {
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	here, there := makeImage(t, runtime.GOARCH, []item{reg("here", "")}), makeImage(t, other, []item{reg("there", "")})
	second := makeImage(t, runtime.GOARCH, []item{reg("second", "")})
	platforms := writeLayout(t, map[string]v1.Image{"-1": here, "-2": there})
	tags := writeLayout(t, map[string]v1.Image{"1.0": here, "example.org/web:2.0": second})
	foreign := writeLayout(t, map[string]v1.Image{"1.0": there})
	nested := nestedLayout(t, here, there)
	none := writeLayout(t, nil)
	digest, err := second.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		opt  Options
		want string // a file, or with "!" a part of the error
	}{
		"this-machine":      {platforms, Options{}, "/here"},
		"platform":          {platforms, Options{Platform: "linux/" + other}, "/there"},
		"no-such-platform":  {platforms, Options{Platform: "linux/s390x"}, "!no image for linux/s390x"},
		"broken-platform":   {platforms, Options{Platform: "linux"}, "!write it like linux/arm64"},
		"ambiguous":         {tags, Options{}, "!several images"},
		"ambiguous-listed":  {tags, Options{}, "!example.org/web:2.0"},
		"tag":               {tags, Options{Ref: "1.0"}, "/here"},
		"tag-of-name":       {tags, Options{Ref: "2.0"}, "/second"},
		"name":              {tags, Options{Ref: "example.org/web:2.0"}, "/second"},
		"digest":            {tags, Options{Ref: digest.String()}, "/second"},
		"no-such-tag":       {tags, Options{Ref: "3.0"}, "!no image \"3.0\""},
		"only-one":          {foreign, Options{}, "/there"},
		"only-one-but-else": {foreign, Options{Platform: "linux/" + runtime.GOARCH}, "!the image is for linux/" + other},
		"nested":            {nested, Options{Ref: "many"}, "/here"},
		"nested-platform":   {nested, Options{Platform: "linux/" + other}, "/there"},
		"empty":             {none, Options{}, "!it contains no image"},
	} {
		t.Run(name, func(t *testing.T) {
			im, err := Open(t.Context(), c.path, c.opt)
			want, isError := strings.CutPrefix(c.want, "!")
			if isError {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer im.Close()
			if got := strings.Join(show(t, im), "\n"); !strings.Contains(got, want) {
				t.Errorf("got %q, want it to have %s", got, want)
			}
		})
	}
}

// nestedLayout has an index within its index, as "docker buildx" writes it. The
// inner index has a statement about an image, which is not an image itself.
func nestedLayout(t *testing.T, imgs ...v1.Image) string {
	t.Helper()
	var inner v1.ImageIndex = empty.Index
	for _, img := range imgs {
		c, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		inner = mutate.AppendManifests(inner, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: c.OS, Architecture: c.Architecture},
		}})
	}
	inner = mutate.AppendManifests(inner, mutate.IndexAddendum{Add: imgs[0], Descriptor: v1.Descriptor{
		Annotations: map[string]string{referenceKey: "attestation-manifest"},
		Platform:    &v1.Platform{OS: "unknown", Architecture: "unknown"},
	}})
	dir := t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = p.AppendIndex(inner, layout.WithAnnotations(map[string]string{refNameKey: "many"}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
