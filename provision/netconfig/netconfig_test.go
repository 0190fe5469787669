package netconfig_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"cloudlets/images"
	"cloudlets/provision"
	"cloudlets/provision/netconfig"
)

var update = flag.Bool("update", false, "write what is rendered to testdata")

// renderers are all that write files.
var renderers = []provision.Renderer{provision.Networkd, provision.NetworkManager, provision.Ifupdown}

// cases reads the networks in testdata, by their names.
func cases(t *testing.T) map[string]*txtar.Archive {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 3 {
		t.Fatalf("testdata has %q (%v)", files, err)
	}
	all := map[string]*txtar.Archive{}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = archive
	}
	return all
}

func network(t *testing.T, archive *txtar.Archive) *provision.Network {
	t.Helper()
	var n provision.Network
	if err := json.Unmarshal(archive.Files[0].Data, &n); err != nil {
		t.Fatal(err)
	}
	return &n
}

// TestRender: each network becomes the files that its archive has, for each renderer.
func TestRender(t *testing.T) {
	for file, archive := range cases(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want := archive.Files
			archive.Files = archive.Files[:1:1]
			for _, renderer := range renderers {
				for _, f := range netconfig.Render(network(t, archive), renderer, netconfig.Facts{}) {
					name := fmt.Sprintf("%s %#o %s", renderer, f.Mode, f.Path)
					archive.Files = append(archive.Files, txtar.File{Name: name, Data: f.Content})
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(txtar.Format(&txtar.Archive{Files: want})), string(txtar.Format(&txtar.Archive{Files: archive.Files}))); d != "" {
				t.Errorf("the files differ from testdata (-want +got):\n%s", d)
			}
		})
	}
}

// writeTo puts files below a folder.
func writeTo(t *testing.T, root string, files []images.File) {
	t.Helper()
	for _, f := range files {
		name := filepath.Join(root, f.Path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Content, os.FileMode(f.Mode)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoRendererWritesNothing: the image's templates do all.
func TestNoRendererWritesNothing(t *testing.T) {
	n := &provision.Network{Renderer: provision.NoRenderer, Interfaces: []provision.Interface{{MAC: "52:54:00:00:00:01", DHCP: true}}}
	renderer, err := netconfig.Facts{}.Choose(n)
	if files := netconfig.Render(n, renderer, netconfig.Facts{}); len(files) > 0 || err != nil {
		t.Errorf("there are %d files, %v", len(files), err)
	}
}

// TestManagedDNSIsLeftAlone: where the image's resolv.conf is a symbolic link, a
// program writes what it leads to.
func TestManagedDNSIsLeftAlone(t *testing.T) {
	n := network(t, cases(t)["testdata/static.txtar"])
	for _, managed := range []bool{false, true} {
		written := false
		for _, f := range netconfig.Render(n, provision.Networkd, netconfig.Facts{ManagedDNS: managed}) {
			if f.Path == "/etc/resolv.conf" {
				written = strings.HasSuffix(string(f.Content), "search lab.example example\nnameserver 10.0.0.53\nnameserver fd00::53\n")
			}
		}
		if written == managed {
			t.Errorf("managed: %t, and resolv.conf is written: %t", managed, written)
		}
	}
}
