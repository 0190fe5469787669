package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"testing"
)

// tarball makes a tarball of files.
func tarball(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		head := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text)), PAXRecords: map[string]string{"SCHILY.xattr.user.mark": name}}
		if err := w.WriteHeader(head); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestChangeImage(t *testing.T) {
	var out bytes.Buffer
	if err := changeImage(bytes.NewReader(tarball(t, map[string]string{"./etc/issue": "I am <%= args.role %>\n", "./etc/hosts": "::1 localhost\n"})), &out); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for r := tar.NewReader(&out); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[head.Name] = string(text)
		if mark := head.PAXRecords["SCHILY.xattr.user.mark"]; mark != head.Name {
			t.Errorf("%s has the attribute %q", head.Name, mark)
		}
	}
	want := map[string]string{"./etc/issue": "I am <%= args.role %>, version 2\n", "./etc/hosts": "::1 localhost\n"}
	if !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestChangeImageChangesSomething: a second version that is the first one is refused.
func TestChangeImageChangesSomething(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no such file": {"etc/hosts": ""},
		"other words":  {"etc/issue": "Debian"},
	} {
		if err := changeImage(bytes.NewReader(tarball(t, files)), io.Discard); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}
