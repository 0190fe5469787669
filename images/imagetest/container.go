package imagetest

import (
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// OCILayout makes a folder with a container image of the layers that are in
// some tarballs, the lowest first.
func OCILayout(t testing.TB, tarballs ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	p, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = p.AppendImage(container(t, tarballs))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// DockerArchive makes the same image as "docker save" writes it.
func DockerArchive(t testing.TB, tarballs ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "docker.tar")
	tag, err := name.NewTag("cloudlet:latest")
	if err == nil {
		err = tarball.WriteToFile(file, tag, container(t, tarballs))
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func container(t testing.TB, tarballs []string) v1.Image {
	t.Helper()
	img := empty.Image
	for _, file := range tarballs {
		layer, err := tarball.LayerFromFile(file)
		if err == nil {
			img, err = mutate.AppendLayers(img, layer)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return img
}
