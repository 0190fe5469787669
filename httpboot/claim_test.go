package httpboot

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/httpboot/overlays"
	"cloudlets/httpboot/requests"
	"cloudlets/images"
	"cloudlets/images/pack"
	"cloudlets/images/target"
	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/wire"
)

// overlayOf fetches and unpacks the overlay of a plan.
func (b *bed) overlayOf(plan wire.Plan) (raw string, files map[string]string) {
	b.t.Helper()
	a := b.do(http.MethodGet, plan.Overlay.Path, plan.Session, nil).want(b.t, http.StatusOK)
	return a.body, filesIn(b.t, a.body)
}

// filesIn are the files of an overlay, by their paths.
func filesIn(t testing.TB, raw string) map[string]string {
	t.Helper()
	p, err := pack.Open(strings.NewReader(raw), int64(len(raw)))
	must(t, err)
	files := map[string]string{}
	must(t, p.Walk(t.Context(), func(e images.Entry, content io.Reader) error {
		if content == nil {
			return nil
		}
		text, err := io.ReadAll(content)
		files[e.Path] = string(text)
		return err
	}))
	return files
}

func TestClaim(t *testing.T) {
	b := newBed(t, nil)
	plan := b.claim(node1)
	kit := b.kit(node1)
	if plan.MAC != node1 || plan.Image != "web" || plan.Hostname != "web1" || plan.Init != "/sbin/init" || plan.Target.Filesystem != "ext4" || plan.Handover != provision.Switch {
		t.Errorf("the plan is %+v", plan)
	}
	if plan.Pack.Digest != kit.Pack.Digest || plan.Target.RootSize < kit.Bytes+target.FirstRoom {
		t.Errorf("pack %+v, room for %d bytes; the kit is %+v", plan.Pack, plan.Target.RootSize, kit)
	}
	want := target.Entry{
		ID: "cloudlet-0-" + kernelVersion, Title: "web, Linux " + kernelVersion, Version: kernelVersion, Kernel: "/boot/vmlinuz-" + kernelVersion,
		Cmdline: "quiet console=ttyS0",
	}
	if menu := plan.Target.Entries; len(menu) != 1 || menu[0] != want {
		t.Errorf("the boot menu is %+v, want %+v", menu, want)
	}
	for name, file := range plan.BootLoaders {
		if a := b.get(file.Path).want(t, http.StatusOK, "this is "+name); int64(len(a.body)) != file.Size {
			t.Errorf("%s has %d bytes, the plan says %d", name, len(a.body), file.Size)
		}
	}
	if len(plan.BootLoaders) != 3 {
		t.Errorf("boot loaders for the disk: %+v", plan.BootLoaders)
	}
	if a := b.get(plan.Pack.Path).want(t, http.StatusOK); int64(len(a.body)) != plan.Pack.Size {
		t.Errorf("the pack has %d bytes, the plan says %d", len(a.body), plan.Pack.Size)
	}
	if state := b.state(node1); state.Stage != provision.StageAgent || state.Facts["hostname"] != "web1" || state.Facts["cpus"] != "2" {
		t.Errorf("the state is %+v", state)
	}
	b.wantTrace(node1, "the agent is up at 127.0.0.1 and claimed its plan by HTTP: web on vda, transport virtio, 8.")
}

func TestClaimAgain(t *testing.T) {
	b := newBed(t, nil)
	request := b.request(node1)
	first := b.claimAs(request)
	if again := b.claimAs(request); again.Session != first.Session || again.Overlay != first.Overlay {
		t.Errorf("an answer that was lost is not given again:\n%+v\n%+v", first, again)
	}
	request.Nonce = "somebody else"
	b.do(http.MethodPost, wire.ClaimPath, "", request).want(t, http.StatusForbidden, "the token was used already", "boot script")
	b.wantTrace(node1, "a claim was refused")
	if b.state(node1).Stage != provision.StageAgent {
		t.Errorf("a thief's claim ends the install: stage %s", b.state(node1).Stage)
	}
}

func TestRefusedClaims(t *testing.T) {
	for _, test := range []struct {
		name   string
		spec   func(*provision.Spec)
		image  func(dir string)
		claim  func(*wire.ClaimRequest)
		status int
		words  []string
		failed bool // the trace says that the install failed
	}{
		{name: "unknown token", claim: func(r *wire.ClaimRequest) { r.Token = "0" }, status: http.StatusForbidden, words: []string{"no such token was issued here", "restart the machine"}},
		{name: "no nonce", claim: func(r *wire.ClaimRequest) { r.Nonce = "" }, status: http.StatusForbidden, words: []string{"nonce"}},
		{name: "another machine", claim: func(r *wire.ClaimRequest) { r.MAC = node2 }, status: http.StatusConflict, words: []string{"the token is of " + string(node1) + ", and " + string(node2) + " claims it"}, failed: true},
		{name: "another architecture", claim: func(r *wire.ClaimRequest) { r.Inventory.Arch = "arm64" }, status: http.StatusConflict, words: []string{"it is for amd64, and the machine is arm64", "give the machine another image"}, failed: true},
		{name: "no disk", claim: func(r *wire.ClaimRequest) { r.Inventory.Disks = nil }, status: http.StatusConflict, words: []string{"check its controller"}, failed: true},
		{name: "two disks", claim: func(r *wire.ClaimRequest) {
			r.Inventory.Disks = append(r.Inventory.Disks, provision.DiskInfo{Name: "vdb", Size: 9 << 30, Serial: "B"})
		}, status: http.StatusConflict, words: []string{"several disks match", "vda", "vdb", `"disk" in the machine's file`}, failed: true},
		{name: "no such disk", spec: func(s *provision.Spec) { s.Disk.Serial = "X" }, status: http.StatusConflict, words: []string{"no disk matches", `the hint says "X"`}, failed: true},
		{name: "no mkfs", spec: func(s *provision.Spec) { s.Filesystem = "xfs" }, status: http.StatusConflict, words: []string{`asks for the filesystem "xfs"`, "there is only ext4", "mkfs.xfs"}, failed: true},
		{name: "a template that fails", image: func(dir string) { writeText(dir, "etc/motd", "line 1\n<%= args.nothing.at.all %>\n") }, status: http.StatusConflict, words: []string{"template /etc/motd, line 2", "machine " + string(node1)}, failed: true},
		{name: "a command line that GRUB spoils", spec: func(s *provision.Spec) { s.Cmdline = `name='x'` }, status: http.StatusConflict, words: []string{"machine " + string(node1), "use double quotes"}, failed: true},
		{name: "a configuration that the manifest does not know", spec: func(s *provision.Spec) { s.Config.Args = map[string]any{"motd": 7} }, status: http.StatusConflict, words: []string{"motd"}, failed: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBed(t, test.image)
			if test.spec != nil {
				b.change(node1, test.spec)
			}
			request := b.request(node1)
			if test.claim != nil {
				test.claim(&request)
			}
			a := b.do(http.MethodPost, wire.ClaimPath, "", request).want(t, test.status, test.words...)
			if strings.Contains(a.body, `"session"`) {
				t.Errorf("a refusal with a plan: %s", a.body)
			}
			state := b.state(node1)
			if failed := state.Stage == provision.StageFailed; failed != test.failed {
				t.Errorf("the stage is %s; want a failure: %t", state.Stage, test.failed)
			}
			if test.failed {
				b.wantTrace(node1, test.words...)
			}
		})
	}
}

// writeText is write without a test, for changes of an image.
func writeText(dir, name, text string) {
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		panic(err)
	}
}

// TestClaimAfterDisarming: a person changed their mind between the boot script
// and the claim.
func TestClaimAfterDisarming(t *testing.T) {
	b := newBed(t, nil)
	request := b.request(node1)
	must(t, b.Tracker.Disarm(t.Context(), node1, "anna", "wrong machine"))
	b.do(http.MethodPost, wire.ClaimPath, "", request).want(t, http.StatusConflict, "shall not be installed", "its install was cancelled")
	if spec, decision := b.Decide(node1); decision.Action != provision.ActionLocal {
		t.Errorf("%s shall %s", spec.MAC, decision.Action)
	}
}

// TestClaimWhileTheServerIsInTrouble: what is no fault of the machine's is not
// the end of its install. The agent asks again.
func TestClaimWhileTheServerIsInTrouble(t *testing.T) {
	b := newBed(t, nil)
	request := b.request(node1)
	good := b.Overlays
	b.Overlays = overlays.Folder(filepath.Join(b.dir, "agent", "overlays")) // below a file
	b.do(http.MethodPost, wire.ClaimPath, "", request).want(t, http.StatusInternalServerError, "keep the overlay of "+string(node1))
	if got := b.state(node1).Stage; got == provision.StageFailed {
		t.Error("the machine's install has failed")
	}
	b.wantTrace(node1, "no plan yet; the agent asks again")
	b.Overlays = good
	b.claimAs(request)
}

func TestOverlay(t *testing.T) {
	b := newBed(t, nil)
	b.change(node1, func(s *provision.Spec) { s.Config.Args = map[string]any{"motd": "welcome"} })
	b.change(node2, func(s *provision.Spec) { s.Hostname = "" })
	one, two := b.claim(node1), b.claim(node2)
	_, files := b.overlayOf(one)
	if files["/etc/hostname"] != "web1\n" || files["/etc/motd"] != "welcome from "+b.Base+"\n" || !strings.Contains(files[images.AppliedConfigPath], "welcome") {
		t.Errorf("the overlay of node1 is %v", files)
	}
	if _, files := b.overlayOf(two); files["/etc/hostname"] != "machine-525400000002\n" || files["/etc/motd"] != "hello from "+b.Base+"\n" {
		t.Errorf("the overlay of node2 is %v", files)
	}
	for _, session := range []string{"", "Bearer", one.Session + "0", b.token(node1).Token} {
		b.do(http.MethodGet, overlayPath, session, nil).want(t, http.StatusForbidden, "restart the machine")
	}
	if info, err := os.Stat(b.Overlays.Path(node1)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("an overlay may hold secrets; it is kept as %v, %v", info, err)
	}
}

// TestOverlayAfterRestart: the server is killed and started in the middle of an
// install; the agent gets the very bytes that its plan speaks of.
func TestOverlayAfterRestart(t *testing.T) {
	b := newBed(t, nil)
	store := &store.Memory{}
	b.http.Close()
	b.start(store)
	base := b.Base
	plan := b.claim(node1)
	before, _ := b.overlayOf(plan)
	must(t, b.Tracker.Record(t.Context(), provision.Event{MAC: node1, Kind: provision.KindDisarmed, Text: "to write what waits"}))
	b.http.Close()
	b.start(store)
	b.change(node1, func(s *provision.Spec) { s.Hostname = "changed" })
	after, _ := b.overlayOf(plan)
	if before != after {
		t.Errorf("the overlay has changed: %d and %d bytes; the server was at %s and is at %s", len(before), len(after), base, b.Base)
	}
	b.report(plan.Session, provision.Event{Kind: provision.KindStage, Stage: provision.StageStream}).want(t, http.StatusNoContent)
}

// TestBadClaims: what is no claim is told so, briefly.
func TestBadClaims(t *testing.T) {
	b := newBed(t, nil)
	long := `{"token": "` + strings.Repeat("x", 1<<20) + `"}`
	for _, body := range []string{"", "null null", "[]", `{"mac": "` + strings.Repeat("y", 100_000) + `"}`, "\x00\xff", long} {
		a := b.do(http.MethodPost, wire.ClaimPath, "", body).want(t, http.StatusBadRequest, "read claim: ")
		if len(a.body) > 2*requests.MaxShown {
			t.Errorf("%d bytes of garbage are answered with %d", len(body), len(a.body))
		}
	}
	request := b.request(node1)
	wrong := `{"token": "` + request.Token + `", "nonce": "n", "mac": "` + string(node1) + `", "inventory": {"disks": 7}}`
	b.do(http.MethodPost, wire.ClaimPath, "", wrong).want(t, http.StatusConflict, "the agent is of another version")
	b.wantTrace(node1, "the agent is of another version")
}

// TestNoSecrets: neither a token nor a session's secret is in a log, a trace
// or an error.
func TestNoSecrets(t *testing.T) {
	b := newBed(t, nil)
	request := b.request(node1)
	plan := b.claimAs(request)
	var said bytes.Buffer
	thief := request
	thief.Nonce = "thief"
	said.WriteString(b.do(http.MethodPost, wire.ClaimPath, "", thief).body)
	b.report(plan.Session, provision.Event{Kind: provision.KindDone}).want(t, http.StatusNoContent)
	said.WriteString(b.do(http.MethodGet, overlayPath, plan.Session, nil).body)
	said.WriteString(b.do(http.MethodPost, wire.EventsPath, plan.Session, "garbage").body)
	said.WriteString(b.trace(node1) + b.log.String())
	for name, secret := range map[string]string{"token": request.Token, "session": plan.Session, "nonce": request.Nonce} {
		if strings.Contains(said.String(), secret) {
			t.Errorf("the %s is told:\n%s", name, said.String())
		}
	}
}

// TestWarningsOfAnInstall: the trace says what could keep the installed system
// from starting, and the install goes on.
func TestWarningsOfAnInstall(t *testing.T) {
	b := newBed(t, imageWith(t))
	b.claim(node1)
	b.wantTrace(node1, "warning: the installed system may not start", "has no initrd, and no driver for disks is built in")
}
