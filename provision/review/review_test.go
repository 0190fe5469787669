package review

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/ejs"
	"cloudlets/images/imagetest"
	"cloudlets/images/pack"
	"cloudlets/images/target"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/site"
)

const node1 provision.MAC = "52:54:00:00:00:01"

const role = `{"args": {"role": {"type": "string", "default": "x"}}, "templates": ["/etc/motd"]}`

// bed is a site with one image, which is ready.
type bed struct {
	*Reviewer
	t    testing.TB
	dir  string
	site *site.Site

	mu     sync.Mutex
	status depot.Status
	pack   *pack.Pack
	states map[provision.MAC]provision.State
}

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{t: t, dir: t.TempDir(), states: map[provision.MAC]provision.State{}}
	b.write("images/web/.cloudlet/manifest", "{}") // what is read is the pack
	b.image(role, "<%= env.hostname %>: <%= args.role %>\n", "quiet")
	return b
}

// open opens the site and checks its machines.
func (b *bed) open() {
	b.t.Helper()
	opened, err := site.Open(b.dir, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.site = opened
	b.Reviewer = &Reviewer{
		Site: opened, Images: b, State: b.state, Server: func() string { return "http://10.0.0.1" },
		Renderer: func() (images.Renderer, func() error) { return &ejs.Renderer{}, func() error { return nil } },
	}
	b.start()
	b.renew()
	b.drain()
}

// drain checks what waits, as Run does in the background.
func (b *bed) drain() {
	for mac, ok := b.next(); ok; mac, ok = b.next() {
		b.look(b.t.Context(), &ejs.Renderer{}, mac)
	}
}

func (b *bed) write(name, text string) {
	b.t.Helper()
	full := filepath.Join(b.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o644)); err != nil {
		b.t.Fatal(err)
	}
}

// save writes a machine's file while the server runs, and checks it.
func (b *bed) save(mac provision.MAC, text string) {
	b.t.Helper()
	b.write(mac.File(), text)
	if !b.site.Reload() {
		b.t.Fatal("the site has not changed")
	}
	b.renew()
	b.drain()
}

// image makes a new pack of the image.
func (b *bed) image(about, motd, cmdline string) {
	b.t.Helper()
	var m imagetest.Memory
	m.Dir("/boot")
	m.File("/boot/vmlinuz", []byte("kernel"))
	m.Dir("/etc")
	m.File("/etc/motd", []byte(motd))
	var file bytes.Buffer
	info, err := pack.Write(b.t.Context(), &file, m, pack.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	opened, err := pack.Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		b.t.Fatal(err)
	}
	kit := &depot.Kit{
		Manifest: imagetest.Manifest(b.t, about), Pack: depot.File{Digest: info.Digest}, Filesystems: []string{"ext4"},
		Image: target.Image{Kernels: []boot.Kernel{{Version: "6.1", Path: "/boot/vmlinuz", Cmdline: cmdline, Arch: "amd64"}}, Init: "/sbin/init"},
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status, b.pack = depot.Status{Kit: kit}, opened
}

func (b *bed) Status(depot.Key) depot.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

func (b *bed) OpenPack(depot.File) (*pack.Pack, func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pack, func() {}, nil
}

func (b *bed) Suits(spec *provision.Spec, kit *depot.Kit, arch string) error {
	return new(depot.Depot).Suits(spec, kit, arch)
}

func (b *bed) state(mac provision.MAC) provision.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.states[mac]
}

// saw gives a machine facts, and tells of that.
func (b *bed) saw(mac provision.MAC, facts map[string]string) {
	b.mu.Lock()
	state := provision.State{MAC: mac, Facts: facts}
	b.states[mac] = state
	b.mu.Unlock()
	b.SawState(&state, true)
}

func (b *bed) made() int {
	b.Reviewer.mu.Lock()
	defer b.Reviewer.mu.Unlock()
	return b.checks
}

// want wants findings with these words, in this order.
func (b *bed) want(mac provision.MAC, want ...string) {
	b.t.Helper()
	found := b.Of(mac)
	if len(found) != len(want) {
		b.t.Fatalf("%d findings, want %d: %v", len(found), len(want), found)
	}
	for i, f := range found {
		if !strings.Contains(f.Error(), want[i]) {
			b.t.Errorf("found %q, want %q", f, want[i])
		}
	}
}

// TestWhatIsWrong: everything that would go wrong when the machine claims, with its
// place. An install is refused unless it is only a warning.
func TestWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, file, manifest, motd, cmdline, want string }{
		{"all is well", `{"image": "web", "config": {"args": {"role": "web"}}}`, role, "<%= args.role %>", "", ""},
		{"wrong type", `{"image": "web", "config": {"args": {"role": 5}}}`, role, "", "", ":1:46: /config/args/role: got number, want string"},
		{"misspelt", `{"image": "web", "config": {"args": {"rolle": "x"}}}`, role, "", "", `:1:47: warning: /config/args/rolle: is not described by the manifest; did you mean "role"?`},
		{"missing", `{"image": "web"}`, `{"args": {"role": {"type": "string"}}}`, "", "", ":1:1: /config/args/role: is missing"},
		{"template", `{"image": "web"}`, role, "a\n<%= args.rolle.x %>", "", ":1:11: configure image web: template /etc/motd, line 2:"},
		{"command line", `{"image": "web"}`, role, "", "ip=<%= args.rolle.x %>", "kernel command line"},
		{"disk in a command line", `{"image": "web"}`, role, "", "disk=<%= env.disk.x %>", "kernel command line"},
		{"no such image", `{"image": "wbe"}`, role, "", "", `image "wbe" is not in images/`},
		{"filesystem", `{"image": "web", "filesystem": "xfs"}`, role, "", "", `asks for the filesystem "xfs"`},
		{"network", `{"image": "web", "network": {"interfaces": [{"mac": "52:54:00:00:00:01", "dhcp": true}]}}`, role, "", "", ":1:29: warning: the image has none of systemd-networkd"},
		{"no cloud-init", `{"image": "web", "cloudInit": {"userData": "#!/bin/sh"}}`, role, "", "", ":1:31: warning: the image has no cloud-init"},
		{"broken file", `{"image": "web", "hostnme": "x"}`, role, "", "", `did you mean "hostname"?`},
		{"known before it boots", `{"image": "web"}`, role, "<%= env.disk.length + env.address.length + env.server.length %>", "", ""},
		{"by what is assumed", `{"image": "web"}`, role, `<% if (env.disk != "nvme0n1") throw new Error("want nvme") %>`, "", ":1:11: warning: configure image web: template /etc/motd, line 1: want nvme"},
		{"unlike what is assumed", `{"image": "web"}`, role, `<%= env.hostname.x.y %>`, "", ":1:11: configure image web: template /etc/motd, line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t)
			b.image(c.manifest, c.motd, c.cmdline)
			b.write(node1.File(), c.file)
			b.open()
			err := b.Refusal(node1)
			if c.want == "" {
				b.want(node1)
			} else {
				b.want(node1, c.want)
			}
			if harmless := c.want == "" || strings.Contains(c.want, "warning: "); harmless != (err == nil) {
				t.Errorf("an install is refused with %v", err)
			}
		})
	}
}

// TestFilesForCloudInit: a file that is not there is known before the install, which fails
// without it, and is forgotten when it is there, though nothing else has changed.
func TestFilesForCloudInit(t *testing.T) {
	b := newBed(t)
	b.write(node1.File(), `{"image": "web", "cloudInit": {"userDataFile": "cloud-init/web.yaml", "vendorDataFile": "cloud-init/vendor"}}`)
	b.write("cloud-init/vendor", "#!/bin/sh")
	b.open()
	const noCloudInit = "warning: the image has no cloud-init"
	b.want(node1, "/cloudInit/userDataFile: read a file of the site: ", noCloudInit)
	if err := b.Refusal(node1); err == nil || !strings.Contains(err.Error(), "cloud-init/web.yaml") {
		t.Errorf("an install is refused with %v", err)
	}
	b.write("cloud-init/web.yaml", "#cloud-config")
	b.want(node1, noCloudInit)
	if err := b.Refusal(node1); err != nil {
		t.Errorf("an install is refused with %v", err)
	}
	b.write("cloud-init/web.yaml", strings.Repeat("#", site.MaxText+1))
	b.want(node1, "it is larger than", noCloudInit)

	// The verbs that check a site once know the place.
	b.write("cloud-init/web.yaml", "#cloud-config")
	machine := Machine{Spec: b.site.Specs()[0], Locate: b.site.Locate(node1), CheckFile: func(name string) error { return errors.New(name + " is away") }}
	found, err := Check(t.Context(), &ejs.Renderer{}, Image{Manifest: b.status.Kit.Manifest, System: b.status.Kit.Image, Tree: b.pack}, machine)
	if err != nil || len(found) != 3 || !strings.HasSuffix(found[1].Error(), ":1:48: cloud-init/web.yaml is away") {
		t.Errorf("found %v (%v)", found, err)
	}
}

// TestOneChangeOneCheck: a file that is saved costs one check, a fact of a machine none
// unless a template uses it, and a new image one of each machine.
func TestOneChangeOneCheck(t *testing.T) {
	b := newBed(t)
	const n = 50
	for i := range n {
		b.write(machine(i).File(), fmt.Sprintf(`{"image": "web", "hostname": "node%d"}`, i))
	}
	b.open()
	if b.made() != n {
		t.Fatalf("%d checks at the start, want %d", b.made(), n)
	}
	b.save(machine(7), `{"image": "web", "hostname": "seven", "config": {"args": {"role": 5}}}`)
	if b.made() != n+1 {
		t.Errorf("%d checks for a change of one file, want 1", b.made()-n)
	}
	b.want(machine(7), "got number, want string")
	b.saw(machine(8), map[string]string{"address": "10.0.0.9", "disk": "sdb, model X"})
	b.SawKit(depot.Key{Image: "web"}) // it is the same
	b.drain()
	if b.made() != n+1 {
		t.Errorf("%d checks after nothing has changed", b.made()-n-1)
	}
	b.image(role, `<% if (env.address == "10.0.0.9") throw new Error("nine") %>`, "")
	if found := b.Of(machine(9)); found != nil {
		t.Errorf("of the image before: %v", found)
	}
	b.SawKit(depot.Key{Image: "web"})
	b.drain()
	if b.made() != 2*n+1 {
		t.Errorf("%d checks after the image has changed, want %d", b.made()-n-1, n)
	}
	b.want(machine(8), "line 1: nine") // as it was leased, F10
	b.want(machine(9))
	b.saw(machine(9), map[string]string{"address": "10.0.0.9"})
	b.drain()
	b.want(machine(9), "line 1: nine")
}

// TestRun: what is changed while it runs is checked, and told.
func TestRun(t *testing.T) {
	b := newBed(t)
	b.write(node1.File(), `{"image": "web"}`)
	b.open()
	told := make(chan provision.MAC, 1)
	b.Changed = func(mac provision.MAC) { told <- mac }
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	b.write(node1.File(), `{"image": "web", "config": {"args": {"role": 5}}}`)
	b.site.Reload()
	if mac := <-told; mac != node1 {
		t.Errorf("told of %s", mac)
	}
	b.want(node1, "got number, want string")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestNothingIsWaitedFor: a person is answered with what is known.
func TestNothingIsWaitedFor(t *testing.T) {
	b := newBed(t)
	b.write(node1.File(), `{"image": "web", "config": {"args": {"role": 5}}}`)
	b.status = depot.Status{Busy: true}
	b.open()
	b.want(node1)
	if err := b.Refusal(node1); err != nil {
		t.Errorf("while its image is packed: %v", err)
	}
	b.image(role, "", "")
	if err := b.Refusal(node1); err == nil || !strings.Contains(err.Error(), ":1:46: /config/args/role: got number, want string") {
		t.Errorf("before it was checked: %v", err)
	}
	b.mu.Lock()
	b.status = depot.Status{Err: errors.New("no kernel")}
	b.mu.Unlock()
	if err := b.Refusal(node1); err == nil || !strings.Contains(err.Error(), "the image web cannot be booted: no kernel") {
		t.Errorf("its image is broken: %v", err)
	}
}

func TestMentions(t *testing.T) {
	for text, want := range map[string]bool{
		"<%= env.disk %>": true, "<%= env['disk'] %>": true, "<%= JSON.stringify(env) %>": true,
		"<%= env.hostname %>": false, "a disk": false, "": false,
	} {
		if mentions(text, "disk") != want {
			t.Errorf("%q: want %t", text, want)
		}
	}
}

func machine(i int) provision.MAC {
	return provision.MAC(fmt.Sprintf("52:54:00:00:%02x:%02x", i>>8, i&0xff))
}

// BenchmarkChangeOfOneFile is what the change of one file costs in a site of many.
func BenchmarkChangeOfOneFile(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprintf("machines=%d", n), func(b *testing.B) {
			bed := newBed(b)
			for i := range n {
				bed.write(machine(i).File(), fmt.Sprintf(`{"image": "web", "hostname": "node%d", "config": {"args": {"role": "web"}}}`, i))
			}
			bed.open()
			changing := &changingSite{Site: bed.site, now: slices.Clone(bed.site.Specs()), before: slices.Clone(bed.site.Specs())}
			bed.Site = changing
			before := bed.made()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				changing.change(i%n, fmt.Sprint("n=", i))
				bed.renew()
				bed.drain()
			}
			b.ReportMetric(float64(bed.made()-before)/float64(b.N), "checks/op")
		})
	}
}

// changingSite is a site whose next reading has the change of one machine.
type changingSite struct {
	Site
	now, before []provision.Spec
	changed     int // the machine in which they differ
}

func (c *changingSite) change(i int, cmdline string) {
	c.before[c.changed] = c.now[c.changed]
	c.now, c.before = c.before, c.now
	c.now[i].Cmdline, c.changed = cmdline, i
}

func (c *changingSite) Specs() []provision.Spec { return c.now }

func (c *changingSite) Spec(mac provision.MAC) (provision.Spec, bool) {
	if c.now[c.changed].MAC == mac {
		return c.now[c.changed], true
	}
	return c.Site.Spec(mac)
}

// TestGivesWay: while machines wait for the server, each check is followed by a pause,
// and yet all are made.
func TestGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		r := &Reviewer{Busy: func() bool { asked++; return asked <= 2 }}
		began := time.Now()
		for range 3 {
			r.giveWay(t.Context())
		}
		if waited := time.Since(began); waited != 2*busyPause {
			t.Errorf("waited %s, want it twice for %s", waited, busyPause)
		}
	})
}

// stalling is a renderer whose process gets no processor time.
type stalling struct{}

func (stalling) Render(context.Context, string, []byte, json.RawMessage) ([]byte, error) {
	return nil, fmt.Errorf("template: %w", ejs.ErrStalled)
}

// TestAStallIsNoVerdict: what could not be rendered on a busy computer is not wrong.
func TestAStallIsNoVerdict(t *testing.T) {
	b := newBed(t)
	b.write(node1.File(), `{"image": "web"}`)
	b.open()
	machine := Machine{Spec: b.site.Specs()[0], Locate: b.site.Locate(node1)}
	found, err := Check(t.Context(), stalling{}, Image{Manifest: b.status.Kit.Manifest, System: b.status.Kit.Image, Tree: b.pack}, machine)
	if !errors.Is(err, ejs.ErrStalled) || len(found) > 0 {
		t.Errorf("found %v, %v", found, err)
	}
}
