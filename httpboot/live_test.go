package httpboot

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/images/chunks"
	"cloudlets/provision"
	"cloudlets/provision/wire"
)

// canLive gives an image's kernel what it takes to be started in memory.
func canLive(t testing.TB) func(image string) {
	return func(image string) {
		write(t, filepath.Join(image, "lib/modules", kernelVersion, "modules.builtin"),
			[]byte("kernel/fs/ext4/ext4.ko\nkernel/fs/erofs/erofs.ko\nkernel/fs/overlayfs/overlay.ko\nkernel/drivers/block/nbd.ko\n"))
	}
}

// lives makes a machine one whose file says "boot": "live".
func (b *bed) lives(mac provision.MAC) {
	b.t.Helper()
	b.change(mac, func(s *provision.Spec) {
		s.InstallOnce, s.Boot = false, &provision.FileBoot{Boot: provision.Boot{Kind: provision.BootLive}}
	})
}

// startLive boots a live machine up to its agent, and returns what that is told.
func (b *bed) startLive(mac provision.MAC) (told wire.Live, token string) {
	b.t.Helper()
	script, state := b.script(mac), b.state(mac)
	if state.Booted == nil || state.Stage != provision.StageKernel {
		b.t.Fatalf("after the script: booted %+v, stage %s\n%s", state.Booted, state.Stage, script)
	}
	token = state.Booted.LiveToken(mac, b.Tracker.Key())
	for _, want := range []string{"cloudlets.memory=1", "cloudlets.token=" + token, "cloudlets.onfailure=reboot", "nothing is installed"} {
		if !strings.Contains(script, want) {
			b.t.Errorf("the script has no %s:\n%s", want, script)
		}
	}
	got := b.do(http.MethodPost, wire.LivePath, "", wire.LiveRequest{Token: token, MAC: mac, Nonce: "the agent", Inventory: provision.Inventory{Arch: "amd64", Product: "Cube"}})
	got.want(b.t, http.StatusOK)
	if state := b.state(mac); state.Live == nil || state.Failure != "" {
		b.t.Errorf("told what to start, the machine has %+v, failure %q", state.Live, state.Failure)
	}
	must(b.t, json.Unmarshal([]byte(got.body), &told))
	return told, token
}

// TestLive: a machine whose file says so gets its system in memory at each boot: a root whose
// parts can be checked, and its own files. Nothing is installed, no plan is claimed, and it
// says itself that it runs.
func TestLive(t *testing.T) {
	b := newBed(t, func(image string) {
		systemdImage(image)
		canLive(t)(image)
	})
	b.lives(node1)
	if boot := b.Boot(t.Context(), bootClient(node1)); boot.File == "" {
		t.Errorf("DHCP answers %+v", boot)
	}
	told, token := b.startLive(node1)
	if told.Image != "web" || told.Kernel != kernelVersion || told.Init == "" || told.Places != nil {
		t.Errorf("the agent is told %+v", told)
	}
	root := b.get(told.Root.Path)
	root.want(t, http.StatusOK)
	list := b.get(told.Chunks.Path)
	list.want(t, http.StatusOK)
	var sums chunks.List
	must(t, sums.UnmarshalBinary([]byte(list.body)))
	if int64(len(root.body)) != told.Root.Size || sums.Length() != told.Root.Size || told.Root.Size%4096 != 0 {
		t.Errorf("the root has %d bytes, should have %d, and its list is of %d", len(root.body), told.Root.Size, sums.Length())
	}
	for i := range sums.Count() {
		offset, n := sums.Place(i)
		if err := sums.Check(i, []byte(root.body[offset:offset+n])); err != nil {
			t.Error(err)
		}
	}
	files := filesIn(t, string(told.Overlay))
	if url, _, _ := strings.Cut(files["/etc/cloudlets/running"], "\n"); !strings.HasPrefix(url, b.Base+"/running/") {
		t.Fatalf("the machine's own files are %q", files)
	}

	state := b.state(node1)
	if state.Stage != provision.StageLive || state.Live == nil || state.Live.Image != "web" || state.Live.Pack == "" || state.Has != nil || state.Installs != 0 || state.Facts["product"] != "Cube" {
		t.Errorf("the machine is %+v", state)
	}
	if _, may := state.QuietFrom(); !may || !state.Live.Tells {
		t.Error("it never becomes quiet, though it will say that it runs")
	}
	b.SawExchange(dhcp.Exchange{Client: dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.Plain}, Request: "REQUEST", Reply: "ACK"})
	if s := b.state(node1); s.Stage != provision.StageLive || s.Heard.After(state.Heard) {
		t.Errorf("its system asked by DHCP: the machine is in stage %s, and counts as heard: %t", s.Stage, s.Heard.After(state.Heard))
	}
	if boot := b.do(http.MethodPost, wire.LivePath, "", wire.LiveRequest{Token: token, MAC: node1, Nonce: "the agent"}); boot.StatusCode != http.StatusOK {
		t.Errorf("the agent asks again, as the answer was lost: %d %s", boot.StatusCode, boot.body)
	}
	b.do(http.MethodPost, wire.LivePath, "", wire.LiveRequest{Token: token, MAC: node1, Nonce: "somebody on the machine"}).want(t, http.StatusConflict, "told already")
	b.do(http.MethodPost, wire.LiveSaidPath, "", wire.LiveRequest{Token: token, MAC: node1, Text: "lies"}).want(t, http.StatusForbidden)
	b.do(http.MethodPost, wire.LiveSaidPath, "", wire.LiveRequest{Token: told.SaidToken, MAC: node1, Text: "all of its root is in memory"}).want(t, http.StatusNoContent)
	_, path, _ := strings.Cut(strings.TrimSpace(files["/etc/cloudlets/running"]), b.Base)
	b.get(path).want(t, http.StatusNoContent)
	if s := b.state(node1); s.Stage != provision.StageRunning || s.Live == nil || s.Live.Ran.IsZero() || s.Has != nil {
		t.Errorf("it runs, and is %+v, live %+v", s, s.Live)
	}
	b.do(http.MethodPost, wire.LivePath, "", wire.LiveRequest{Token: token, MAC: node1, Nonce: "the agent"}).want(t, http.StatusConflict, "told already")
	b.wantTrace(node1, "starts web in memory", "all of its root is in memory", "the system runs")

	// What is no token of this boot is good for nothing, and this one for nothing else.
	b.do(http.MethodPost, wire.ClaimPath, "", wire.ClaimRequest{Token: token, Nonce: "n", MAC: node1}).want(t, http.StatusForbidden)
	b.do(http.MethodPost, wire.RescuePath, "", wire.RescueRequest{Token: token, MAC: node1}).want(t, http.StatusForbidden)
	b.do(http.MethodPost, wire.LivePath, "", wire.LiveRequest{Token: state.Booted.RescueToken(node1, b.Tracker.Key()), MAC: node1}).want(t, http.StatusForbidden, "not the token")
	b.do(http.MethodPost, wire.LivePath, "", wire.LiveRequest{Token: token, MAC: node2}).want(t, http.StatusForbidden)

	again, next := b.startLive(node1) // it starts again
	if next == token || again.Root != told.Root {
		t.Errorf("the next boot has the token %s and the root %+v", next, again.Root)
	}
	b.do(http.MethodPost, wire.LivePath, "", wire.LiveRequest{Token: token, MAC: node1}).want(t, http.StatusForbidden)
	b.get(path).want(t, http.StatusGone)
}

// TestLiveOnce: a person's order starts another image, once.
func TestLiveOnce(t *testing.T) {
	b := newBed(t, canLive(t))
	must(t, os.CopyFS(filepath.Join(b.site.images, "other"), os.DirFS(filepath.Join(b.site.images, "web"))))
	b.change(node1, func(s *provision.Spec) { s.Config.Args = map[string]any{"role": "web"} })
	b.orderBoot(provision.Boot{Kind: provision.BootLive, Image: "other"})
	told, _ := b.startLive(node1)
	if told.Image != "other" {
		t.Errorf("the agent is told %+v", told)
	}
	if script := b.script(node1); strings.Contains(script, "cloudlets.memory") {
		t.Errorf("after the order the machine gets\n%s", script)
	}
	if s := b.state(node1); s.Live != nil || s.Booted != nil {
		t.Errorf("after the order the machine has %+v in memory", s.Live)
	}
}

// TestLiveKeeps: where the file asks for room on a disk, the agent is told what belongs
// there; by which disk, as for an install.
func TestLiveKeeps(t *testing.T) {
	b := newBed(t, func(image string) {
		canLive(t)(image)
		file := filepath.Join(image, ".cloudlet/manifest")
		text, err := os.ReadFile(file)
		must(t, err)
		write(t, file, []byte(strings.Replace(string(text), "{", `{"persistent": ["/var/data"],`, 1)))
	})
	b.lives(node1)
	if told, _ := b.startLive(node1); told.Places != nil {
		t.Errorf("without room on a disk the agent is told %+v", told.Places)
	}
	b.change(node1, func(s *provision.Spec) { s.Persistent, s.Disk.Serial = 1<<30, "S1" })
	told, _ := b.startLive(node1)
	if len(told.Places) != 1 || told.Places[0].Path != "/var/data" || told.Disk.Serial != "S1" {
		t.Errorf("the agent is told %+v of the disk %+v", told.Places, told.Disk)
	}
}

// TestLiveFails: a system that does not start is a failure that is shown, until one does.
func TestLiveFails(t *testing.T) {
	b := newBed(t, func(image string) {
		systemdImage(image)
		canLive(t)(image)
	})
	b.lives(node1)
	told, _ := b.startLive(node1)
	b.do(http.MethodPost, wire.LiveSaidPath, "", wire.LiveRequest{Token: told.SaidToken, MAC: node1, Failure: "web takes too much memory"}).want(t, http.StatusNoContent)
	if s := b.state(node1); s.Stage != provision.StageFailed || !s.Again || !strings.Contains(s.Failure, "too much memory") || s.Installing() {
		t.Errorf("the machine is %+v", s)
	}
	b.startLive(node1)
	if s := b.state(node1); s.Failure != "" || s.Again {
		t.Errorf("it starts, and still has the failure %q", s.Failure)
	}
}

// TestLiveCloudInit: the system in memory gets what its cloud-init is told by its own URL.
func TestLiveCloudInit(t *testing.T) {
	b := newBed(t, func(image string) {
		cloudImage(image)
		canLive(t)(image)
	})
	b.lives(node1)
	b.change(node1, func(s *provision.Spec) {
		s.CloudInit = &provision.CloudInit{UserData: "#cloud-config\n{}\n", Datasource: provision.DatasourceHTTP}
	})
	told, _ := b.startLive(node1)
	files := filesIn(t, string(told.Overlay))
	_, after, _ := strings.Cut(files["/etc/cloud/cloud.cfg.d/99-cloudlets.cfg"], `seedfrom: "`+b.Base)
	url, _, found := strings.Cut(after, `"`)
	if !found {
		t.Fatalf("the machine's own files are %q", files)
	}
	b.get(url+"user-data").want(t, http.StatusOK, "#cloud-config")
}

// TestNotLive: a kernel that cannot do it, and loaders that cannot say it, are told why, and
// the machine goes on to its own disk.
func TestNotLive(t *testing.T) {
	b := newBed(t, nil)
	b.lives(node1)
	b.script(node1)
	b.wantTrace(node1, "not booted: live", "has no erofs, no nbd, no overlay")
	for _, d := range []dialect.Dialect{dialect.Agent{Asked: true}, dialect.Pi{}} {
		if _, err := d.Boot(dialect.Program{Lives: true}); !errors.Is(err, dialect.ErrAgentAsIs) && !errors.Is(err, dialect.ErrPiAsIs) {
			t.Errorf("%T starts a system in memory: %v", d, err)
		}
	}
}
