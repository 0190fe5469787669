package cloudinit

import (
	"errors"
	"flag"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudlets/images/dirtree"
	"cloudlets/provision"
)

var update = flag.Bool("update", false, "write the goldens anew")

// node is an instance with all there is.
func node() Instance {
	return Instance{
		ID: "i-0123456789abcdef0", Hostname: "node1.example", MAC: "52:54:00:00:00:01",
		SSHKeys:  []string{"ssh-ed25519 AAAA ann@desk", `from="10.0.0.0/8" ssh-rsa BBBB bob's <laptop>`},
		UserData: []byte("#cloud-config\n{\"packages\": [\"nginx\"]}\n"), VendorData: []byte("#!/bin/sh\ntrue\n"),
	}
}

func TestNoCloud(t *testing.T) {
	i := node()
	compare(t, "nocloud.txt", i.NoCloud())
	i.HasNetwork = true
	if got := string(i.NoCloud()[NetworkConfig]); got != "{\"config\": \"disabled\"}\n" {
		t.Errorf("the network is %q", got)
	}
	if got := (Instance{ID: "i-0", Hostname: "a"}).NoCloud(); len(got[UserData]) > 0 || strings.Contains(string(got[MetaData]), "keys") {
		t.Errorf("without data: %q", got)
	}
}

func TestFiles(t *testing.T) {
	tree := image(t, "etc/cloud/cloud.cfg")
	network := node()
	network.HasNetwork = true
	for name, c := range map[string]struct {
		instance Instance
		from     Source
	}{
		"seed":  {node(), Source{Datasource: provision.DatasourceSeed}},
		"fixed": {network, Source{Datasource: provision.DatasourceSeed}},
		"http":  {node(), Source{Datasource: provision.DatasourceHTTP, URL: "http://10.0.0.1/cloud-init/m/t/"}},
		"ec2":   {network, Source{Datasource: provision.DatasourceEC2, URLs: []string{"http://10.0.0.1", "http://10.0.0.2"}}},
	} {
		files, err := Files(tree, c.instance, c.from)
		if err != nil {
			t.Fatal(err)
		}
		contents := map[string][]byte{}
		for _, f := range files {
			if contents[f.Path] = f.Content; f.Mode != 0o600 || f.Size != int64(len(f.Content)) {
				t.Errorf("%s has mode %o and size %d", f.Path, f.Mode, f.Size)
			}
		}
		compare(t, name+".txt", contents)
	}
	if _, err := Files(image(t, "etc/passwd"), node(), Source{}); !errors.Is(err, ErrMissing) {
		t.Errorf("an image without cloud-init: %v", err)
	}
}

// image is an image with one file.
func image(t *testing.T, name string) *dirtree.Dir {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755), os.WriteFile(filepath.Join(dir, name), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	tree, err := dirtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// compare compares texts with a golden.
func compare(t *testing.T, golden string, texts map[string][]byte) {
	t.Helper()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		b.WriteString("== " + name + "\n" + string(texts[name]))
	}
	file := filepath.Join("testdata", golden)
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != b.String() {
		t.Errorf("%s: %v, have:\n%s", golden, err, b.String())
	}
}

// TestEC2: the tree is that of the metadata service, with its lists.
func TestEC2(t *testing.T) {
	i := node()
	i.Address = netip.MustParseAddr("10.0.0.21")
	tree := i.EC2()
	texts := map[string][]byte{}
	for _, path := range []string{"", "meta-data", "meta-data/public-keys", "meta-data/public-keys/0", "meta-data/network/interfaces/macs", "dynamic/instance-identity"} {
		text, found := tree.Get(path)
		if !found {
			t.Errorf("there is no %q", path)
		}
		texts["/"+path+"/"] = []byte(text + "\n")
	}
	for path, text := range tree {
		texts["/"+path] = []byte(text + "\n")
	}
	compare(t, "tree.txt", texts)
	for _, path := range []string{"meta-dat", "meta-data/instance-id/x", "meta-data/", "user-data/x"} {
		if text, found := tree.Get(path); found {
			t.Errorf("%q has %q", path, text)
		}
	}
}
