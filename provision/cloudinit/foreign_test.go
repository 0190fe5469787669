package cloudinit_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"cloudlets/images/dirtree"
	"cloudlets/provision"
	"cloudlets/provision/cloudinit"
	foreign "cloudlets/testdata/cloudinit"
)

// TestSeedIsRead: Debian's cloud-init finds the seed without a network, and is told what
// the instance says.
func TestSeedIsRead(t *testing.T) {
	root := t.TempDir()
	write(t, root, "/etc/cloud/cloud.cfg", nil, 0o644)
	tree, err := dirtree.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	i := cloudinit.Instance{
		ID: "i-0123456789abcdef0", Hostname: "node1.example", HasNetwork: true,
		SSHKeys:  []string{"ssh-ed25519 AAAA ann@desk", `from="10.0.0.0/8" ssh-rsa BBBB bob's <laptop> é`},
		UserData: []byte("#cloud-config\n{\"packages\": [\"nginx\"]}\n"), VendorData: []byte("#!/bin/sh\ntrue\n"),
	}
	files, err := cloudinit.Files(tree, i, cloudinit.Source{Datasource: provision.DatasourceSeed})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		write(t, root, f.Path, f.Content, os.FileMode(f.Mode))
	}
	told, err := foreign.Read(t.Context(), t, root, foreign.Local, "")
	if err != nil {
		t.Fatal(err)
	}
	want := foreign.Told{
		Datasource: "DataSourceNoCloud", Instance: i.ID, Hostname: "node1", Keys: i.SSHKeys,
		User: string(i.UserData), Vendor: string(i.VendorData), Config: map[string]any{"packages": []any{"nginx"}},
		Network: map[string]any{"config": "disabled"}, Metadata: told.Metadata,
	}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("cloud-init was told %+v\nwant %+v", told, want)
	}
}

func write(t *testing.T, root, name string, content []byte, mode os.FileMode) {
	t.Helper()
	file := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, mode); err != nil {
		t.Fatal(err)
	}
}
