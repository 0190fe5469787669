//go:build linux

package pack

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// flipOnDisk flips one bit of a file's content below the filesystem, in the
// file behind its loop device.
func (d *disk) flipOnDisk(t *testing.T, content []byte) {
	t.Helper()
	file := filepath.Join(filepath.Dir(d.dir), "disk.img")
	image, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(image, content)
	if at < 0 {
		t.Fatal("the content is not on the disk")
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	at += len(content) / 2
	_, err = f.WriteAt([]byte{image[at] ^ 1}, int64(at))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestOneBitFlippedOnTheDisk simulates a disk that does not keep its data. Only
// a check that reads the disk instead of the kernel's cache can notice that.
func TestOneBitFlippedOnTheDisk(t *testing.T) {
	needRoot(t)
	small, big := noise(1, 5000), noise(2, 3*FrameSize+17)
	src := memSource{dirFile("/"), regFile("/small", small), regFile("/big", big), regFile("/whole", noise(3, FrameSize))}
	data, info := mustWrite(t, src, Options{})
	toc, err := Fetch(t.Context(), Local{bytes.NewReader(data)}, info.Ref)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"/small": small[:4096], "/big": big[2*FrameSize : 2*FrameSize+4096]} {
		for by, sums := range map[string]*Sums{"digests": nil, "sums": {}} {
			t.Run(name+" by "+by, func(t *testing.T) {
				d := freshDisk(t, 64<<20)
				if _, err := Extract(t.Context(), Local{bytes.NewReader(data)}, toc, d.dir, ExtractOptions{Sums: sums}); err != nil {
					t.Fatal(err)
				}
				if err := Verify(t.Context(), toc, d.dir, VerifyOptions{Sums: sums}); err != nil {
					t.Fatalf("an intact disk: %v", err)
				}
				d.flipOnDisk(t, content)
				err := Verify(t.Context(), toc, d.dir, VerifyOptions{Sums: sums})
				if err == nil || !strings.Contains(err.Error(), name+" on ") || !strings.Contains(err.Error(), "1 files differ") {
					t.Errorf("Verify should name %s alone: %v", name, err)
				}
			})
		}
	}
}

// Sums of one pack say nothing about another pack, so digests decide.
func TestSumsOfAnotherPack(t *testing.T) {
	needRoot(t)
	disk := freshDir(t)
	var sums Sums
	for _, seed := range []uint64{1, 2} {
		src := memSource{dirFile("/"), regFile("/file", noise(seed, 3000))}
		data, info := mustWrite(t, src, Options{})
		toc, err := Fetch(t.Context(), Local{bytes.NewReader(data)}, info.Ref)
		if err != nil {
			t.Fatal(err)
		}
		dir := subDir(t, disk)
		opt := ExtractOptions{}
		if seed == 1 {
			opt.Sums = &sums
		}
		if _, err := Extract(t.Context(), Local{bytes.NewReader(data)}, toc, dir, opt); err != nil {
			t.Fatal(err)
		}
		if err := Verify(t.Context(), toc, dir, VerifyOptions{Sums: &sums}); err != nil {
			t.Errorf("pack %d: %v", seed, err)
		}
	}
}
