package httpboot

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/wire"
	foreign "cloudlets/testdata/cloudinit"
)

// cloudImage has a cloud-init.
func cloudImage(dir string) {
	if err := os.MkdirAll(filepath.Join(dir, "etc/cloud"), 0o755); err != nil {
		panic(err)
	}
	writeText(dir, "etc/cloud/cloud.cfg", "")
}

// TestCloudInitSeed: the overlay has the seed of this machine and this install, as long as
// the image has a cloud-init.
func TestCloudInitSeed(t *testing.T) {
	b := newBed(t, cloudImage)
	b.Systems.SiteFile = func(name string) ([]byte, error) { return []byte("#cloud-config\n# " + name + "\n"), nil }
	b.change(node1, func(s *provision.Spec) {
		s.CloudInit = &provision.CloudInit{UserDataFile: "web.yaml", VendorData: "vendor"}
	})
	plan := b.claim(node1)
	_, files := b.overlayOf(plan)
	const seed = "/var/lib/cloud/seed/nocloud/"
	var meta map[string]any
	must(t, json.Unmarshal([]byte(files[seed+"meta-data"]), &meta))
	id := b.state(node1).Writing.InstanceID(node1)
	if meta["instance-id"] != id || len(id) != 19 || meta["local-hostname"] != "web1" || files[seed+"user-data"] != "#cloud-config\n# web.yaml\n" || files[seed+"vendor-data"] != "vendor" {
		t.Errorf("the overlay has %q; want the instance %s", files, id)
	}
	if config := files["/etc/cloud/cloud.cfg.d/99-cloudlets.cfg"]; !strings.Contains(config, "[NoCloud, None]") || strings.Contains(config, "network") {
		t.Errorf("the configuration is %q", config)
	}
	b.report(plan.Session, provision.Event{Kind: provision.KindDone, Text: "done"})
	must(t, b.Tracker.Record(t.Context(), provision.Event{MAC: node1, Kind: provision.KindArmed, By: "ann", Text: "armed", Wipe: true}))
	if _, again := b.overlayOf(b.claim(node1)); again[seed+"meta-data"] == files[seed+"meta-data"] {
		t.Error("two installs have one instance")
	}

	// What the image has in /etc/cloud may stay.
	b = newBed(t, cloudImage)
	b.change(node1, func(s *provision.Spec) { s.CloudInit = &provision.CloudInit{Datasource: provision.DatasourceImage} })
	if _, files := b.overlayOf(b.claim(node1)); files["/etc/cloud/cloud.cfg.d/99-cloudlets.cfg"] != "" {
		t.Errorf("the overlay has %q", files)
	}
}

// TestCloudInitIsMissing: the trace says that nobody reads the file's "cloudInit".
func TestCloudInitIsMissing(t *testing.T) {
	b := newBed(t, nil)
	b.change(node1, func(s *provision.Spec) { s.CloudInit = &provision.CloudInit{UserData: "x"} })
	if _, files := b.overlayOf(b.claim(node1)); files["/var/lib/cloud/seed/nocloud/meta-data"] != "" {
		t.Errorf("the overlay has %q", files)
	}
	b.wantTrace(node1, `the installed system does not read the "cloudInit" of its file`)
}

// TestCloudInitFileIsMissing: without what its file names, a machine is not installed.
func TestCloudInitFileIsMissing(t *testing.T) {
	b := newBed(t, cloudImage)
	b.Systems.SiteFile = func(string) ([]byte, error) { return nil, errors.New("no such file") }
	b.change(node1, func(s *provision.Spec) { s.CloudInit = &provision.CloudInit{UserDataFile: "web.yaml"} })
	if a := b.do(http.MethodPost, wire.ClaimPath, "", b.request(node1)); a.StatusCode != http.StatusConflict || !strings.Contains(a.body, "no such file") {
		t.Errorf("the claim was answered %d %q", a.StatusCode, a.body)
	}
}

// TestCloudInitByHTTP: Debian's cloud-init asks at the URL that the overlay has. The URL is
// the machine's own, and good for as long as it has that system.
func TestCloudInitByHTTP(t *testing.T) {
	b := newBed(t, cloudImage)
	b.change(node1, func(s *provision.Spec) {
		s.CloudInit = &provision.CloudInit{UserData: "#cloud-config\n{}\n", VendorData: "vendor", SSHKeys: []string{"ssh-ed25519 AAAA ann"}, Datasource: provision.DatasourceHTTP}
	})
	plan := b.claim(node1)
	_, files := b.overlayOf(plan)
	const config = "/etc/cloud/cloud.cfg.d/99-cloudlets.cfg"
	_, after, _ := strings.Cut(files[config], `seedfrom: "`+b.Base)
	url, _, found := strings.Cut(after, `"`)
	if !found || files["/var/lib/cloud/seed/nocloud/user-data"] != "" {
		t.Fatalf("the overlay has %q", files)
	}
	b.get(url+"user-data").want(t, http.StatusGone) // it is not installed yet
	b.report(plan.Session, provision.Event{Kind: provision.KindDone, Text: "done"})
	root := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(root, filepath.Dir(config)), 0o755))
	writeText(root, config, files[config])
	told, err := foreign.Read(t.Context(), t, root, foreign.Network, "")
	must(t, err)
	if told.Datasource != "DataSourceNoCloudNet" || told.Instance != b.state(node1).Has.InstanceID(node1) || told.Hostname != "web1" || told.User != "#cloud-config\n{}\n" || told.Vendor != "vendor" || len(told.Keys) != 1 {
		t.Errorf("cloud-init was told %+v", told)
	}
	b.wantTrace(node1, "cloud-init asked what it is told, by HTTP")
	b.get(url+"shadow").want(t, http.StatusNotFound)

	// Neither a token of another purpose, nor another machine's, gives anything away.
	b.change(node2, func(s *provision.Spec) { *s = testSpec(node2); s.CloudInit = &provision.CloudInit{UserData: "hunter2"} })
	running := b.state(node1).Has.RunningToken(node1, b.Tracker.Key())
	for _, wrong := range []string{"/cloud-init/" + string(node1) + "/" + running + "/user-data", strings.Replace(url, string(node1), string(node2), 1) + "user-data", url[:len(url)-2] + "x/user-data"} {
		if a := b.get(wrong); a.StatusCode != http.StatusGone {
			t.Errorf("%s: %d %q", wrong, a.StatusCode, a.body)
		}
	}
	must(t, b.Tracker.Record(t.Context(), provision.Event{MAC: node1, Kind: provision.KindArmed, By: "ann", Text: "armed", Wipe: true}))
	again := b.claim(node1)
	b.get(url+"user-data").want(t, http.StatusOK) // the disk is as it was
	b.report(again.Session, provision.Event{Kind: provision.KindStage, Stage: provision.StagePartition, Text: "partitions"})
	b.get(url+"user-data").want(t, http.StatusGone)
}

// TestEC2: Debian's cloud-init asks by the paths of EC2, with a token of version 2 where it
// believes that it is at Amazon.
func TestEC2(t *testing.T) {
	b := newBed(t, cloudImage)
	b.change(node1, func(s *provision.Spec) {
		s.CloudInit = &provision.CloudInit{UserData: "#cloud-config\n{}\n", SSHKeys: []string{"ssh-ed25519 AAAA ann"}, Datasource: provision.DatasourceEC2}
	})
	b.Systems.Holder = func(_ context.Context, addr netip.Addr) (provision.MAC, bool, error) {
		if addr == netip.MustParseAddr("127.0.0.1") {
			return node1, true, nil
		}
		return "", false, nil
	}
	plan := b.claim(node1)
	_, files := b.overlayOf(plan)
	b.report(plan.Session, provision.Event{Kind: provision.KindDone, Text: "done"})
	root := t.TempDir()
	const config = "/etc/cloud/cloud.cfg.d/99-cloudlets.cfg"
	must(t, os.MkdirAll(filepath.Join(root, filepath.Dir(config)), 0o755))
	writeText(root, config, files[config])
	for _, platform := range []string{"unknown", "aws"} {
		told, err := foreign.Read(t.Context(), t, root, foreign.Network, platform)
		must(t, err)
		if told.Datasource != "DataSourceEc2" || told.Instance != b.state(node1).Has.InstanceID(node1) || told.Hostname != "web1" || told.User != "#cloud-config\n{}\n" || len(told.Keys) != 1 || told.Keys[0] != "ssh-ed25519 AAAA ann" || told.Token != (platform == "aws") {
			t.Errorf("%s: cloud-init was told %+v", platform, told)
		}
	}
	b.wantTrace(node1, "its system asked what it is told, by the paths of EC2")
}
