package httpboot

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloudlets/httpboot/loaders"
	"cloudlets/httpboot/machines"
	"cloudlets/httpboot/machines/machinestest"
	"cloudlets/httpboot/overlays"
	"cloudlets/httpboot/systems"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/uki/signing"
	"cloudlets/images/ejs"
	"cloudlets/images/imagetest"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/store"
	"cloudlets/provision/tickets"
	"cloudlets/provision/track"
	"cloudlets/provision/wire"
)

// The machines of the tests.
const (
	node1    provision.MAC = "52:54:00:00:00:01"
	node2    provision.MAC = "52:54:00:00:00:02"
	stranger provision.MAC = "52:54:00:00:00:99"
)

// patience ends a test that hangs; nothing waits for it otherwise.
const patience = time.Minute

// kernelVersion is that of the tests' image.
const kernelVersion = "6.1.0-test"

// testSite is a site without files, with images.
type testSite struct {
	machinestest.Site
	images string // a folder
}

func (s *testSite) IsBootFile(name string) bool {
	return slices.ContainsFunc(s.Specs(), func(spec provision.Spec) bool { return strings.EqualFold(spec.Quirks.BootFile, name) })
}

func (s *testSite) ImagePath(name string) (string, bool) {
	at := filepath.Join(s.images, name)
	_, err := os.Stat(at)
	return at, err == nil
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// bed is a boot chain with a real depot, a real tracker and a real server.
type bed struct {
	*Chain
	t    testing.TB
	site *testSite
	http *httptest.Server
	log  *lockedBuffer
	dir  string
	Base string     // the URL of http
	TFTP netip.Addr // that of loopback
	// ownerKey is the key of the machines' owner, or nil.
	ownerKey func() (*signing.Key, error)
}

// newBed has node1, which installs the image "web", and a good image of that
// name. change may change the image before anything reads it.
func newBed(t testing.TB, change func(image string)) *bed {
	t.Helper()
	dir := t.TempDir()
	b := &bed{t: t, dir: dir, log: &lockedBuffer{}}
	b.site = &testSite{images: filepath.Join(dir, "images")}
	b.site.Put(testSpec(node1))
	writeImage(t, filepath.Join(b.site.images, "web"))
	if change != nil {
		change(filepath.Join(b.site.images, "web"))
	}
	writeAssets(t, filepath.Join(dir, "assets"))
	write(t, filepath.Join(dir, "agent"), []byte("the agent"))
	b.start(&store.Memory{})
	return b
}

// arm64Image is the image that addARM64 makes.
const arm64Image = "web-arm64"

// addARM64 makes an image for arm64 machines, and the agent for them.
func (b *bed) addARM64() {
	b.t.Helper()
	writeImage(b.t, filepath.Join(b.site.images, arm64Image))
	image := make([]byte, 4096)
	copy(image[0x38:], "ARM\x64")
	write(b.t, filepath.Join(b.site.images, arm64Image, "boot/vmlinuz-"+kernelVersion), image)
	write(b.t, filepath.Join(b.dir, "assets", bootloader.SystemdARM64), []byte("this is "+bootloader.SystemdARM64))
	write(b.t, filepath.Join(b.dir, "assets", "cloudlets-arm64"), imagetest.GoProgram("arm64", ""))
}

func testSpec(mac provision.MAC) provision.Spec {
	return provision.Spec{
		MAC: mac, Image: "web", Hostname: "web" + string(mac[len(mac)-1]), InstallOnce: true,
		Filesystem: "ext4", Handover: provision.Switch, Cmdline: "console=ttyS0",
	}
}

// start builds a server on a store: again, as after a restart, if need be.
func (b *bed) start(store store.Store) {
	b.t.Helper()
	log := b.newLog()
	inSite := func(mac provision.MAC) bool { _, ok := b.site.Spec(mac); return ok }
	tracker, err := track.NewTracker(store, track.Options{Log: log, Known: inSite})
	must(b.t, err)
	kits := b.openDepot()
	known := &machines.Machines{Site: b.site, Tracker: tracker, Log: log}
	b.Chain = &Chain{
		Machines: known, Systems: &systems.Systems{Machines: known}, Tickets: tickets.New(store, nil), Depot: kits, Render: &ejs.Renderer{},
		Loaders: loaders.Files{Dir: filepath.Join(b.dir, "assets"), Site: b.site}, TFTP: func(netip.Addr) netip.Addr { return b.TFTP },
		Overlays: overlays.Folder(filepath.Join(b.dir, "overlays")),
	}
	b.http = httptest.NewServer(b.Handler())
	b.Base, b.TFTP = b.http.URL, netip.MustParseAddr("127.0.0.1")
	b.Chain.Base = func(netip.Addr) string { return b.Base }
	b.run(kits)
}

func (b *bed) newLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// openDepot opens the depot. It makes no kits before it runs.
func (b *bed) openDepot() *depot.Depot {
	b.t.Helper()
	kits, err := depot.Open(depot.Options{
		Dir: filepath.Join(b.dir, "depot"), Images: b.site, Assets: bootloader.Assets{Dir: filepath.Join(b.dir, "assets")},
		Agent: filepath.Join(b.dir, "agent"), Owner: b.ownerKey, Log: b.newLog(),
	})
	must(b.t, err)
	return kits
}

// run makes kits until the test ends.
func (b *bed) run(kits *depot.Depot) {
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = kits.Run(ctx) })
	b.t.Cleanup(func() {
		b.http.Close()
		stop()
		group.Wait()
	})
}

// kit waits for the image of a machine.
func (b *bed) kit(mac provision.MAC) *depot.Kit {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.t.Context(), patience)
	defer stop()
	spec, _ := b.site.Spec(mac)
	kit, err := b.Depot.Kit(ctx, kitKey(&spec))
	must(b.t, err)
	return kit
}

// change changes what the site says of a machine.
func (b *bed) change(mac provision.MAC, change func(*provision.Spec)) {
	spec, ok := b.site.Spec(mac)
	if !ok {
		spec = testSpec(mac)
	}
	change(&spec)
	b.site.Put(spec)
}

// forget takes a machine out of the site.
func (b *bed) forget(mac provision.MAC) { b.site.Remove(mac) }

// answer is what a client gets.
type answer struct {
	*http.Response
	body string
}

// do makes one request and follows no redirect.
func (b *bed) do(method, path, session string, body any, headers ...string) answer {
	b.t.Helper()
	var content io.Reader
	switch v := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(v)
	default:
		text, err := json.Marshal(v)
		must(b.t, err)
		content = bytes.NewReader(text)
	}
	ctx, stop := context.WithTimeout(b.t.Context(), patience)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, method, b.Base+path, content)
	must(b.t, err)
	if session != "" {
		r.Header.Set("Authorization", "Bearer "+session)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	must(b.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(b.t, err)
	return answer{response, string(text)}
}

func (b *bed) get(path string, headers ...string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, path, "", nil, headers...)
}

// want fails unless the answer has the status, and the words in its body.
func (a answer) want(t testing.TB, status int, words ...string) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d: %s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	for _, word := range words {
		if !strings.Contains(a.body, word) {
			t.Errorf("%s %s: want %q in the answer:\n%s", a.Request.Method, a.Request.URL, word, a.body)
		}
	}
	return a
}

// token fetches a machine's script and takes its words to the agent from it.
func (b *bed) token(mac provision.MAC) wire.Params {
	b.t.Helper()
	script := b.get("/boot/"+string(mac)+"/script").want(b.t, http.StatusOK, "cloudlets.token=")
	for line := range strings.Lines(script.body) {
		if words, ok := strings.CutPrefix(line, "kernel "); ok {
			params, err := wire.ParseParams(strings.TrimSuffix(strings.TrimSpace(strings.Split(words, "&&")[0]), " "))
			must(b.t, err)
			return params
		}
	}
	b.t.Fatalf("no kernel in the script:\n%s", script.body)
	return wire.Params{}
}

// request is a good claim of a machine with one disk.
func (b *bed) request(mac provision.MAC) wire.ClaimRequest {
	b.t.Helper()
	return wire.ClaimRequest{
		Token: b.token(mac).Token, Nonce: "boot 1 of " + string(mac), MAC: mac,
		Inventory: provision.Inventory{Arch: "amd64", CPUs: 2, Disks: []provision.DiskInfo{{Name: "vda", Size: 8 << 30, Transport: "virtio"}}},
	}
}

// claim claims the plan of a machine.
func (b *bed) claim(mac provision.MAC) wire.Plan {
	b.t.Helper()
	return b.claimAs(b.request(mac))
}

func (b *bed) claimAs(request wire.ClaimRequest) (plan wire.Plan) {
	b.t.Helper()
	a := b.do(http.MethodPost, wire.ClaimPath, "", request).want(b.t, http.StatusOK)
	must(b.t, json.Unmarshal([]byte(a.body), &plan))
	return plan
}

func (b *bed) state(mac provision.MAC) provision.State {
	state, _ := b.Tracker.State(mac)
	return state
}

// trace is a machine's story, as a person reads it.
func (b *bed) trace(mac provision.MAC) string {
	b.t.Helper()
	events, err := b.Tracker.Events(b.t.Context(), mac, 0, 0)
	must(b.t, err)
	var text strings.Builder
	for _, e := range events {
		text.WriteString(e.String() + "\n")
	}
	return text.String()
}

// wantTrace fails unless a machine's story has the words.
func (b *bed) wantTrace(mac provision.MAC, words ...string) {
	b.t.Helper()
	story := b.trace(mac)
	for _, word := range words {
		if !strings.Contains(story, word) {
			b.t.Errorf("want %q in the trace of %s:\n%s", word, mac, story)
		}
	}
}

// writeImage makes the smallest image that boots and installs.
func writeImage(t testing.TB, dir string) {
	t.Helper()
	for name, content := range map[string]string{
		".cloudlet/manifest": `{
			"args": {"motd": {"type": "string", "default": "hello"}},
			"templates": ["/etc/hostname", "/etc/motd"],
			"entrypoints": {"linux": {"type": "kernel", "kernel": "/boot/vmlinuz-*", "cmdline": "quiet"}}
		}`,
		"etc/hostname":                  "<%= env.hostname %>\n",
		"etc/motd":                      "<%= args.motd %> from <%= env.server %>\n",
		"sbin/init":                     "#!/bin/sh\n",
		"boot/vmlinuz-" + kernelVersion: kernel(0x20c, 1),
		"lib/modules/" + kernelVersion + "/modules.dep":                        "kernel/drivers/net/virtio_net.ko:\nkernel/drivers/block/virtio_blk.ko:\n",
		"lib/modules/" + kernelVersion + "/modules.builtin":                    "kernel/fs/ext4/ext4.ko\n",
		"lib/modules/" + kernelVersion + "/kernel/drivers/net/virtio_net.ko":   "network",
		"lib/modules/" + kernelVersion + "/kernel/drivers/block/virtio_blk.ko": "storage",
	} {
		write(t, filepath.Join(dir, name), []byte(content))
	}
	must(t, os.Chmod(filepath.Join(dir, "sbin/init"), 0o755))
}

// kernel begins as the x86 boot protocol has it (Documentation/arch/x86/boot.rst).
func kernel(version, loadFlags uint16) string {
	b := make([]byte, 70_000)
	for i := range b {
		b[i] = byte(i / 7)
	}
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], version)
	binary.LittleEndian.PutUint16(b[0x236:], loadFlags)
	return string(b)
}

// writeAssets makes boot loaders of every name that is known.
func writeAssets(t testing.TB, dir string) {
	t.Helper()
	for _, name := range []string{
		bootloader.BootImage, bootloader.CoreImage, bootloader.SystemdAMD64, bootloader.ShimAMD64, bootloader.GRUBAMD64, bootloader.MokAMD64,
		"grubnetx64.efi.signed", bootloader.ShimARM64, "grubnetaa64.efi.signed", bootloader.MokARM64, "grubnetaa64.efi", "ipxe-arm64.efi",
		"undionly.kpxe", "undionly.kkpxe", "snponly.efi", "ipxe.efi", "ipxe.pxe",
		"snponly-ia32.efi", "snponly-arm64.efi", "snponly-arm32.efi", "special.efi", "bootcode.bin", "secret.txt",
	} {
		write(t, filepath.Join(dir, name), []byte("this is "+name+strings.Repeat(".", 600)))
	}
}

func write(t testing.TB, name string, content []byte) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, content, 0o644))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
