package install

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/dirtree"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/probe"
	"cloudlets/images/pack"
	"cloudlets/images/target"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/wire"
	"cloudlets/testdata/needs"
)

const testMAC provision.MAC = "52:54:00:00:00:01"

// tool runs a foreign program to its end and returns what it prints. That it
// is missing fails the test, and the Debian package that has it is named.
func tool(t testing.TB, pkg, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(findTool(t, pkg, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func findTool(t testing.TB, pkg, name string) string {
	t.Helper()
	return needs.Tool(t, name, pkg)
}

func needRoot(t testing.TB) {
	t.Helper()
	needs.Root(t)
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// tempDir is a folder of the test's own, in memory where there is one: these
// tests are of what is on a disk, and not of how fast the machine's own is.
func tempDir(t testing.TB) string {
	t.Helper()
	where := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		where = "/dev/shm"
	}
	dir := must[string](t)(os.MkdirTemp(where, "agent-test-"))
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return dir
}

// loopDisk is a disk that is a file.
type loopDisk struct {
	file   string
	device string // "/dev/loop8"
	info   provision.DiskInfo
}

const diskSize = 768 << 20

// newLoopDisk attaches a sparse file in dir until the test ends.
func newLoopDisk(t testing.TB, dir string, size int64) *loopDisk {
	t.Helper()
	needRoot(t)
	f := must[*os.File](t)(os.CreateTemp(dir, "disk-*.img"))
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	device := tool(t, "mount", "losetup", "--find", "--show", "--partscan", f.Name())
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("clean up: detach %s: %v\n%s", device, err, out)
		}
	})
	return &loopDisk{f.Name(), device, provision.DiskInfo{Name: filepath.Base(device), Size: size}}
}

// contents are what is on the disk now, as the agent says it.
func (d *loopDisk) contents(t testing.TB) string {
	t.Helper()
	f := must[*os.File](t)(os.Open(d.device))
	defer f.Close()
	return probe.Contents(f, d.info.Size)
}

// wantUnbootable fails where firmware or an operating system would find
// something to boot or to mount by a partition.
func (d *loopDisk) wantUnbootable(t testing.TB) {
	t.Helper()
	f := must[*os.File](t)(os.Open(d.device))
	defer f.Close()
	if found := must[[]probe.Content](t)(probe.Identify(f, d.info.Size)); len(found) != 0 {
		t.Errorf("after the failure the disk holds %s", probe.Describe(found))
	}
	if out, err := exec.Command(findTool(t, "util-linux", "blkid"), "--probe", d.device).CombinedOutput(); err == nil {
		t.Errorf("after the failure blkid finds: %s", out)
	}
	first := make([]byte, 1<<20)
	if _, err := f.ReadAt(first, 0); err != nil || !bytes.Equal(first, make([]byte, 1<<20)) && !bytes.Equal(first, probe.Unfinished()) {
		t.Errorf("after the failure there is something in the first MiB (%v)", err)
	}
}

// bed is a server with one image, and a disk to install it on.
type bed struct {
	dir     string
	job     Job
	server  *blobServer
	said    bytes.Buffer // the agent's log
	mu      sync.Mutex
	events  []provision.Event
	onEvent func(provision.Event)
}

// newBed serves a tiny image and an overlay. A disk is still to be given.
func newBed(t testing.TB) *bed {
	t.Helper()
	needRoot(t)
	b := &bed{dir: sharedDir(t), server: newBlobServer(t)}
	b.job = Job{
		Plan: wire.Plan{
			MAC: testMAC, Session: "secret", Image: "tiny", Hostname: "node1", Handover: provision.Reboot,
			Init: "/sbin/init", BootLoaders: map[string]wire.Blob{}, Target: tinyPlan(t, target.Options{}),
		},
		Inventory: provision.Inventory{Arch: "amd64"},
		Server:    b.server.base(), HTTP: &http.Client{Transport: client.NewTransport(nil)},
		Target: filepath.Join(b.dir, "target"),
		Log:    slog.New(slog.NewTextHandler(&lockedWriter{w: &b.said}, nil)),
		Report: b.report,
	}
	tinyPacks.Lock()
	defer tinyPacks.Unlock()
	if tinyPacks.image.bytes == nil {
		tinyPacks.image, tinyPacks.overlay = packOf(t, tinyTree(t)), packOf(t, overlayTree(t))
	}
	b.job.Plan.Pack = b.server.putPack("/pack", tinyPacks.image)
	b.job.Plan.Overlay = b.server.putPack("/overlay", tinyPacks.overlay)
	for name, data := range loaders() {
		b.job.Plan.BootLoaders[name] = b.server.put("/"+name, data)
	}
	t.Cleanup(func() { // the test's disk is detached before this
		if t.Failed() {
			t.Logf("the agent's log:\n%s", b.said.String())
		}
	})
	return b
}

// tinyPlan plans a disk of the tiny image, as a server does.
func tinyPlan(t testing.TB, o target.Options) target.Plan {
	t.Helper()
	o.ID, o.Arch, o.Cmdline, o.Reserve = uuid.New(), bootloader.AMD64, "quiet", true
	plan, err := target.NewPlan(target.Image{
		Title: "tiny", Init: "/sbin/init", BootSize: 800 << 10, RootSize: 128 << 20,
		Kernels: []boot.Kernel{{Version: "6.1.0-test", Path: "/boot/vmlinuz-6.1.0-test", Initrd: "/boot/initrd.img-6.1.0-test"}},
		Places:  []target.Place{{Path: "/srv", At: "/srv", Type: images.Directory}, {Path: "/var/new", At: "/var/new", Type: images.Directory, Missing: []string{"/var", "/var/new"}}},
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (b *bed) report(e provision.Event) {
	b.mu.Lock()
	b.events = append(b.events, e)
	hook := b.onEvent
	b.mu.Unlock()
	if hook != nil {
		hook(e)
	}
}

// use makes disks the machine's, and sees to it that nothing of them stays
// mounted after the test.
func (b *bed) use(t testing.TB, disks ...*loopDisk) {
	t.Helper()
	for _, d := range disks {
		b.job.Inventory.Disks = append(b.job.Inventory.Disks, d.info)
	}
	t.Cleanup(func() {
		if mounted(b.job.Target) {
			if err := Unmount(b.job.Target); err != nil {
				t.Errorf("clean up: %v", err)
			}
		}
		for _, d := range disks {
			if device, err := openDisk(d.device); err == nil {
				_ = errors.Join(forgetPartitions(device), device.Close())
			}
		}
	})
}

func mounted(dir string) bool {
	table, err := os.ReadFile("/proc/self/mounts")
	return err == nil && strings.Contains(string(table), " "+dir+" ")
}

// install runs the job and wants it to end well.
func (b *bed) install(t testing.TB) Result {
	t.Helper()
	result, err := Run(t.Context(), b.job)
	if err != nil {
		t.Fatalf("install: %v", err)
	}
	return result
}

// wantFailure runs the job and wants an error that says all of words, and
// nothing left mounted.
func (b *bed) wantFailure(t testing.TB, words ...string) error {
	t.Helper()
	_, err := Run(t.Context(), b.job)
	wantError(t, err, words...)
	if mounted(b.job.Target) {
		t.Errorf("%s is still mounted", b.job.Target)
	}
	return err
}

func wantError(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one that says %q", words)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error says %q, and should say %q", err, word)
		}
	}
}

// packed is a pack in memory.
type packed struct {
	bytes []byte
	info  pack.Info
}

// tinyPacks are made by the first test that wants them: they take longer than
// most tests.
var tinyPacks struct {
	sync.Mutex
	image, overlay packed
}

// packOf packs a folder.
func packOf(t testing.TB, folder string) packed {
	t.Helper()
	source, err := dirtree.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	info, err := pack.Write(t.Context(), &b, source, pack.Options{Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	return packed{b.Bytes(), info}
}

// sharedDir is a folder of the test's own, on a filesystem whose mounts are
// shared: what is unmounted below it goes from all namespaces that others may
// have made meanwhile, and so holds no disk.
func sharedDir(t testing.TB) string {
	t.Helper()
	dir := tempDir(t)
	err := errors.Join(unix.Mount("tmpfs", dir, "tmpfs", 0, ""), unix.Mount("", dir, "", unix.MS_SHARED, ""))
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("clean up: unmount %s: %v", dir, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// loaders are files with just the form that the disk's writer asks for.
func loaders() bootloader.Files {
	boot := bytes.Repeat([]byte{0x90}, 512)
	boot[510], boot[511] = 0x55, 0xaa
	return bootloader.Files{
		bootloader.BootImage: boot, bootloader.CoreImage: bytes.Repeat([]byte("core"), 4096),
		bootloader.SystemdAMD64: bytes.Repeat([]byte("MZ"), 5000), bootloader.GRUBAMD64: bytes.Repeat([]byte("GR"), 5000),
	}
}

// blobServer serves what the plan names, in the way of a file server, and
// misbehaves where a test wants it to.
type blobServer struct {
	mu    sync.Mutex
	blobs map[string][]byte
	// before, where given, may answer or break a request off by itself; it
	// then says true.
	before func(w http.ResponseWriter, r *http.Request, blob []byte) bool

	address string
	server  *http.Server
	done    chan struct{}
}

func newBlobServer(t testing.TB) *blobServer {
	s := &blobServer{blobs: map[string][]byte{}, address: "127.0.0.1:0"}
	s.start(t)
	t.Cleanup(s.stop)
	return s
}

func (s *blobServer) base() string { return "http://" + s.address }

// start listens, after stop on the same port as before.
func (s *blobServer) start(t testing.TB) {
	t.Helper()
	listener := must[net.Listener](t)(net.Listen("tcp", s.address))
	s.address = listener.Addr().String()
	s.server, s.done = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}, make(chan struct{})
	go func(server *http.Server, done chan struct{}) {
		defer close(done)
		_ = server.Serve(listener)
	}(s.server, s.done)
}

// stop ends the server the hard way, with all its connections.
func (s *blobServer) stop() {
	_ = s.server.Close()
	<-s.done
}

func (s *blobServer) put(path string, data []byte) wire.Blob {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[path] = data
	return wire.Blob{Path: path, Size: int64(len(data)), Digest: digestOf(data)}
}

func (s *blobServer) putPack(path string, p packed) wire.Blob {
	s.put(path, p.bytes)
	return wire.Blob{Path: path, Size: p.info.Size, Digest: p.info.Digest}
}

func (s *blobServer) get(path string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blobs[path]
}

func (s *blobServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	blob, ok := s.blobs[r.URL.Path]
	before := s.before
	s.mu.Unlock()
	if r.URL.Path == "/overlay" && r.Header.Get("Authorization") != "Bearer secret" {
		http.Error(w, "this overlay is another machine's", http.StatusForbidden)
		return
	}
	if !ok {
		http.Error(w, "there is no such file", http.StatusNotFound)
		return
	}
	if before != nil && before(w, r, blob) {
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(blob))
}

// rangeOf is the range of bytes that a request asks for.
func rangeOf(r *http.Request) (from, to int) {
	text, _ := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	first, last, _ := strings.Cut(text, "-")
	from, _ = strconv.Atoi(first)
	to, _ = strconv.Atoi(last)
	return from, to
}
