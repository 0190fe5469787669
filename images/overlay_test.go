//go:build linux

package images_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"cloudlets/images"
	"cloudlets/images/ejs"
	"cloudlets/images/imagetest"
	"cloudlets/images/tarball"
)

var (
	_ images.Renderer = (*ejs.Renderer)(nil)
	_ images.Renderer = (*ejs.Sandbox)(nil)
)

const overlayManifest = `{
	"name": "web", "arch": "amd64",
	"args": {"hostname": {"type": "string"}, "motd": {"type": "string", "default": "<hello & welcome>"}},
	"templates": ["/etc/hostname", "/etc/motd", "/etc/alias", "/tmp/gone"],
	"volatile": ["/tmp/.+"]
}`

func overlayImage(t *testing.T) (*images.Image, imagetest.Tree) {
	t.Helper()
	tree := imagetest.NewTree(
		"/.cloudlet/manifest = {}", "/etc/hostname = <%= args.hostname %>.<%= env.domain %>", "/etc/alias -> motd",
		"/etc/motd = <%= args.motd %> <%= config.args.hostname %> <%= dns.nameservers.length %> <%= ip.interfaces.length %> <%= manifest.arch %>\n",
	)
	motd := tree["/etc/motd"]
	motd.Mode, motd.UID, motd.GID, motd.ModTime = 0o4640, 3, 4, time.Unix(12345, 678).UTC()
	motd.Xattrs = map[string]string{"user.kept": "\x00\xff"}
	tree["/etc/motd"] = motd
	return &images.Image{Name: "web-1", Manifest: imagetest.Manifest(t, overlayManifest)}, tree
}

func TestOverlay(t *testing.T) {
	im, tree := overlayImage(t)
	make := func() images.Overlay {
		t.Helper()
		o, err := im.Overlay(context.Background(), tree, new(ejs.Renderer), imagetest.Config(t, `{"args": {"hostname": "a"}}`), map[string]any{"domain": "example.org", "z": 1, "b": 2})
		imagetest.Must(t, err)
		return o
	}
	o := make()
	want := map[string]string{
		"/etc/hostname": "a.example.org", "/etc/motd": "<hello & welcome> a 0 0 amd64\n",
		"/.cloudlet/applied_config": "{\n \"args\": {\n  \"hostname\": \"a\",\n  \"motd\": \"<hello & welcome>\"\n },\n \"dns\": {\n  \"nameservers\": []\n },\n \"ip\": {\n  \"interfaces\": []\n }\n}\n",
	}
	if len(o) != len(want) {
		t.Errorf("%d files", len(o))
	}
	for _, f := range o {
		if string(f.Content) != want[f.Path] || f.Size != int64(len(f.Content)) || f.Type != images.Regular {
			t.Errorf("%s: %q (%d bytes, type %d)", f.Path, f.Content, f.Size, f.Type)
		}
	}
	if m := o[1]; m.Mode != 0o4640 || m.UID != 3 || m.GID != 4 || m.Xattrs["user.kept"] != "\x00\xff" || !m.ModTime.Equal(time.Unix(12345, 678)) {
		t.Errorf("the template's attributes are lost: %+v", m.Entry)
	}
	if r := o[2]; r.Mode != 0o644 || r.UID != 0 {
		t.Errorf("record %+v", r.Entry)
	}
	var first, second bytes.Buffer
	imagetest.Must(t, tarball.WriteOverlay(o, &first), tarball.WriteOverlay(make(), &second))
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same input gives another overlay")
	}
}

func TestOverlayAsTar(t *testing.T) {
	im, tree := overlayImage(t)
	o, err := im.Overlay(context.Background(), tree, new(ejs.Renderer), imagetest.Config(t, `{"args": {"hostname": "a"}}`), map[string]any{"domain": "d"})
	imagetest.Must(t, err)
	var b bytes.Buffer
	imagetest.Must(t, tarball.WriteOverlay(o, &b))
	r := tar.NewReader(&b)
	for _, f := range o {
		h, err := r.Next()
		imagetest.Must(t, err)
		text, err := io.ReadAll(r)
		if err != nil || "/"+h.Name != f.Path || h.Mode != int64(f.Mode) || h.Uid != int(f.UID) || !h.ModTime.Equal(f.ModTime) || !bytes.Equal(text, f.Content) {
			t.Errorf("%s is read as %+v, %v", f.Path, h, err)
		}
		if f.Xattrs != nil && h.PAXRecords["SCHILY.xattr.user.kept"] != "\x00\xff" {
			t.Errorf("%s: records %q", f.Path, h.PAXRecords)
		}
	}
	if err := tarball.WriteOverlay((images.Overlay{{Entry: images.Entry{Path: "/d", Type: images.Directory}}}), io.Discard); err == nil {
		t.Error("a directory is taken for a file")
	}
}

func TestOverlayErrors(t *testing.T) {
	config := `{"args": {"hostname": "a"}}`
	for _, tt := range []struct {
		name   string
		change func(imagetest.Tree)
		config string
		want   string
	}{
		{"wrong template", func(t imagetest.Tree) {
			f := t["/etc/motd"]
			f.Content = []byte("a\nb\n<%= args.hostnme %>\n")
			t["/etc/motd"] = f
		}, config, "configure image web-1: template /etc/motd, line 3: args.hostnme is undefined; there is hostname, motd"},
		{"missing template", func(t imagetest.Tree) { delete(t, "/etc/motd") }, config, `configure image web-1: template /etc/motd: resolve /etc/motd: entry /etc/motd: file does not exist; correct "templates"`},
		{"template that is a folder", func(t imagetest.Tree) { t["/etc/motd"] = t["/etc"] }, config, "template /etc/motd: it is not a regular file"},
		{"wrong configuration", func(imagetest.Tree) {}, `{"args": {"hostname": 5}}`, "configure image web-1: config for test: /args/hostname: got number, want string"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			im, tree := overlayImage(t)
			tt.change(tree)
			o, err := im.Overlay(context.Background(), tree, new(ejs.Renderer), imagetest.Config(t, tt.config), map[string]any{"domain": "d"})
			if err == nil || !strings.Contains(err.Error(), tt.want) || o != nil {
				t.Errorf("overlay %v, error %v; want %q", o, err, tt.want)
			}
		})
	}
}

// stuck is a renderer that fails with the error of its context.
type stuck struct{}

func (stuck) Render(ctx context.Context, _ string, _ []byte, _ json.RawMessage) ([]byte, error) {
	return nil, context.Cause(ctx)
}

func TestOverlayPassesItsContextOn(t *testing.T) {
	im, tree := overlayImage(t)
	gone := errors.New("nobody waits")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(gone)
	if _, err := im.Overlay(ctx, tree, stuck{}, imagetest.Config(t, `{"args": {"hostname": "a"}}`), nil); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
}
