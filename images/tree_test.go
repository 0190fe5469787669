package images_test

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/imagetest"
)

func TestResolve(t *testing.T) {
	tree := imagetest.NewTree(
		"/usr/lib/libc.so = x", "/lib -> usr/lib", "/abs -> /usr/lib", "/up -> ../../../usr", "/usr/lib/self -> .",
		"/usr/lib/back -> ../../lib", "/loop -> loop", "/a -> b", "/b -> a", "/dangling -> nowhere", "/root -> /", "/chain -> /abs/back/self",
	)
	for name, want := range map[string]string{
		"/": "/", "": "/", "/lib": "/usr/lib", "lib/libc.so": "/usr/lib/libc.so", "/abs/libc.so": "/usr/lib/libc.so",
		"/up/lib": "/usr/lib", "/../../../usr": "/usr", "/lib/../lib/libc.so": "/usr/lib/libc.so", "/usr/lib/self/self/libc.so": "/usr/lib/libc.so",
		"/root/root/usr": "/usr", "/chain/libc.so": "/usr/lib/libc.so", "//usr/./lib//": "/usr/lib",
	} {
		if got, err := images.Resolve(tree, name); got != want || err != nil {
			t.Errorf("resolve %q = %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]error{
		"/loop": images.ErrTooManyLinks, "/a/x": images.ErrTooManyLinks, "/dangling": fs.ErrNotExist, "/nothing/x": fs.ErrNotExist, "/usr/lib/libc.so/x": fs.ErrNotExist,
	} {
		if got, err := images.Resolve(tree, name); !errors.Is(err, want) {
			t.Errorf("resolve %q = %q, %v; want %v", name, got, err, want)
		}
	}
}

func TestReadFileIsBounded(t *testing.T) {
	tree := imagetest.NewTree("/f = 12345", "/l -> f")
	if text, err := images.ReadFile(tree, "/l", 5); string(text) != "12345" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
	if _, err := images.ReadFile(tree, "/l", 4); err == nil || !strings.Contains(err.Error(), "longer than the 4 bytes") {
		t.Errorf("error %v", err)
	}
}

func TestGlob(t *testing.T) {
	tree := imagetest.NewTree("/boot/vmlinuz-2 = x", "/boot/vmlinuz-1 = x", "/boot/config-1 = x", "/b -> boot", "/lib/modules/1/vmlinuz = x", "/lib/modules/2/vmlinuz = x", "/broken -> nowhere", "/file = x")
	for pattern, want := range map[string][]string{
		"/boot/vmlinuz-*":        {"/boot/vmlinuz-1", "/boot/vmlinuz-2"},
		"boot/vmlinuz-?":         {"/boot/vmlinuz-1", "/boot/vmlinuz-2"},
		"/b*/*-[1]":              {"/b/config-1", "/b/vmlinuz-1", "/boot/config-1", "/boot/vmlinuz-1"},
		"/lib/modules/*/vmlinuz": {"/lib/modules/1/vmlinuz", "/lib/modules/2/vmlinuz"},
		"/broken/*":              nil, "/file/*": nil, "/nothing/*": nil,
		"/broken": {"/broken"}, "/": {"/"},
	} {
		got, err := images.Glob(tree, pattern)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("glob %q: %v\n%s", pattern, err, diff)
		}
	}
	if _, err := images.Glob(tree, "/boot/["); !errors.Is(err, path.ErrBadPattern) {
		t.Errorf("error %v", err)
	}
}

func TestWalkTree(t *testing.T) {
	tree := imagetest.NewTree("/a/x = 1", "/a/y/z = 2", "/b = 3", "/a-b = 4")
	var got []string
	err := images.WalkTree(tree, "/", func(e images.Entry) error {
		got = append(got, e.Path)
		if e.Path == "/a/y" {
			return fs.SkipDir
		}
		return nil
	})
	if diff := cmp.Diff([]string{"/", "/a", "/a/x", "/a/y", "/a-b", "/b"}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	boom := errors.New("boom")
	if err := images.WalkTree(tree, "/a", func(images.Entry) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
	if err := images.WalkTree(tree, "/none", func(images.Entry) error { return nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
