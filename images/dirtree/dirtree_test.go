//go:build linux

package dirtree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/imagetest"
	"cloudlets/images/tarball"
)

func TestDirSourceVisitsOneOfEverything(t *testing.T) {
	d, err := Open(imagetest.OneOfEach(t))
	imagetest.Must(t, err)
	got := imagetest.Listing(t, d)
	dir := func(p, mode string) string { return fmt.Sprintf(`%q 2 %s 0:0 "" 0,0 map[] ""`, p, mode) }
	want := []string{
		dir("/", "755"), dir("/.cloudlet", "755"),
		`"/.cloudlet/manifest" 1 644 0:0 "" 0,0 map[] "{\"name\": \"one-of-everything\"}"`,
		`"/conf" 3 777 0:0 "etc" 0,0 map[] ""`, `"/dangling" 3 777 0:0 "nowhere" 0,0 map[] ""`,
		dir("/dev", "755"), `"/dev/initctl" 7 600 0:0 "" 0,0 map[] ""`, `"/dev/null" 5 666 0:0 "" 1,3 map[] ""`, `"/dev/sda9" 6 660 0:0 "" 8,300 map[] ""`,
		dir("/etc", "755"), `"/etc/absolute" 3 777 0:0 "/etc/shadow" 0,0 map[] ""`,
		dir("/etc/deep", "755"), dir("/etc/deep/er", "755"), `"/etc/deep/er/hosts" 1 640 12:34567 "" 0,0 map[] "127.0.0.1 localhost\n"`,
		`"/etc/empty" 1 600 0:0 "" 0,0 map[] ""`, `"/etc/escape" 3 777 0:0 "../../../../../etc/passwd" 0,0 map[] ""`,
		`"/etc/hosts" 4 640 12:34567 "/etc/deep/er/hosts" 0,0 map[] ""`,
		`"/name\xff\xfe" 1 644 0:0 "" 0,0 map[] "latin"`, `"/` + strings.Repeat("n", 255) + `" 1 644 0:0 "" 0,0 map[] "long"`,
		fmt.Sprintf(`"/ping" 1 4755 0:0 "" 0,0 %q "program"`, map[string]string{"security.capability": imagetest.CapNetRaw}),
		`"/ping6" 4 4755 0:0 "/ping" 0,0 map[] ""`,
		dir("/tmp", "1777"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if again := imagetest.Listing(t, d); !slices.Equal(got, again) {
		t.Error("a second walk is another one")
	}
}

func TestDirSourceAsTree(t *testing.T) {
	root := imagetest.OneOfEach(t)
	d, err := Open(root)
	imagetest.Must(t, err)
	e, err := d.Entry("/etc/empty")
	if want := time.Date(1965, 3, 4, 5, 6, 7, 89, time.UTC); err != nil || !e.ModTime.Equal(want) {
		t.Errorf("time %v, %v; want %v", e.ModTime, err, want)
	}
	if e, err := d.Entry("/"); err != nil || e.Type != images.Directory || e.Path != "/" {
		t.Errorf("root %+v, %v", e, err)
	}
	var names []string
	entries, err := d.ReadDir("/dev")
	for _, e := range entries {
		names = append(names, e.Path)
	}
	if diff := cmp.Diff([]string{"/dev/initctl", "/dev/null", "/dev/sda9"}, names); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if text, err := images.ReadFile(d, "/conf/hosts", 100); string(text) != "127.0.0.1 localhost\n" {
		t.Errorf("read by a link: %q, %v", text, err)
	}
	for _, p := range []string{"/nothing", "/conf/hosts", "/etc/hosts/x", "/etc/escape/x", "/dev/log", "/../../../../../../etc/fstab/x"} {
		if e, err := d.Entry(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("entry %s = %+v, %v; want it absent", p, e, err)
		}
	}
	for _, p := range []string{"/etc", "/etc/absolute", "/dev/null", "/dev/initctl", "/etc/escape"} {
		if f, err := d.Open(p); err == nil {
			f.Close()
			t.Errorf("%s can be opened", p)
		}
	}
}

// TestDirSourceNeverLeavesItsDirectory plants a secret beside the image and
// links that lead to it.
func TestDirSourceNeverLeavesItsDirectory(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "image")
	imagetest.Must(t, os.Mkdir(root, 0o755), os.WriteFile(filepath.Join(base, "secret"), []byte("secret"), 0o644),
		os.Symlink("../secret", filepath.Join(root, "up")), os.Symlink(filepath.Join(base, "secret"), filepath.Join(root, "absolute")),
		os.Symlink("..", filepath.Join(root, "dir")))
	d, err := Open(root)
	imagetest.Must(t, err)
	for _, p := range []string{"/up", "/absolute", "/dir/secret", "/../secret", "../secret"} {
		if text, err := images.ReadFile(d, p, 100); err == nil {
			t.Errorf("%s reads %q", p, text)
		}
		if f, err := d.Open(p); err == nil {
			f.Close()
			t.Errorf("%s can be opened", p)
		}
	}
}

func TestDirSourceFileThatShrinks(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "f")
	imagetest.Must(t, os.WriteFile(file, make([]byte, 2*aheadFile), 0o644)) // too long to be read ahead
	d, err := Open(root)
	imagetest.Must(t, err)
	err = d.Walk(context.Background(), func(e images.Entry, content io.Reader) error {
		if content == nil {
			return nil
		}
		imagetest.Must(t, os.Truncate(file, 3))
		_, err := io.ReadAll(content)
		return err
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "read /f: it became shorter") {
		t.Errorf("error %v", err)
	}
}

func TestWalksStop(t *testing.T) {
	root := imagetest.OneOfEach(t)
	d, err := Open(root)
	imagetest.Must(t, err)
	for name, s := range map[string]images.Source{"directory": d, "tarball": tarball.New(imagetest.TarOf(t, d))} {
		boom := errors.New("boom")
		if err := s.Walk(context.Background(), func(images.Entry, io.Reader) error { return boom }); !errors.Is(err, boom) || err.Error() != "boom" {
			t.Errorf("%s: error %v, want the visitor's", name, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		visits := 0
		err := s.Walk(ctx, func(images.Entry, io.Reader) error { visits++; cancel(); return nil })
		if !errors.Is(err, context.Canceled) || visits > 2 {
			t.Errorf("%s: error %v after %d visits", name, err, visits)
		}
	}
}
