package depot

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klauspost/compress/zstd"

	"cloudlets/images/disk/bootloader"
	"cloudlets/images/imagetest"
	"cloudlets/images/ramdisk"
)

const version = "6.1.0-test"

// site is a folder with images, boot loaders, an agent, and a depot's files.
type site string

// ImagePath implements Finder.
func (s site) ImagePath(name string) (string, bool) {
	path := s.at("images/" + name)
	_, err := os.Stat(path)
	return path, err == nil
}

func (s site) at(name string) string { return filepath.Join(string(s), name) }

func (s site) put(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(s.at(name)), 0o755), os.WriteFile(s.at(name), content, 0o755)); err != nil {
		t.Fatal(err)
	}
}

func (s site) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.RemoveAll(s.at(name)); err != nil {
		t.Fatal(err)
	}
}

// newSite has one image, "tiny", which lacks nothing.
func newSite(t *testing.T) site {
	t.Helper()
	s := site(t.TempDir())
	s.put(t, "images/tiny/.cloudlet/manifest", []byte(`{"volatile": ["/var/cache/.+"]}`))
	s.put(t, "images/tiny/boot/vmlinuz-"+version, kernelImage())
	s.put(t, "images/tiny/sbin/init", []byte("init"))
	s.put(t, "images/tiny/var/cache/big", []byte("volatile"))
	dir := "images/tiny/lib/modules/" + version + "/"
	for _, name := range []string{"kernel/drivers/net/e1000.ko", "kernel/drivers/block/virtio_blk.ko"} {
		s.put(t, dir+name, []byte("module"))
	}
	s.put(t, dir+"modules.dep", []byte("kernel/drivers/net/e1000.ko:\nkernel/drivers/block/virtio_blk.ko:\n"))
	s.put(t, dir+"modules.builtin", []byte("kernel/fs/ext4/ext4.ko\n"))
	for _, name := range bootloader.LoaderNames(bootloader.AMD64) {
		s.put(t, "assets/"+name, []byte("loader "+name))
	}
	s.put(t, "agent", []byte("the agent"))
	return s
}

// kernelImage has just the header of an x86 kernel with a 64-bit entry point.
func kernelImage() []byte {
	b := make([]byte, 4096)
	copy(b[0x1fe:], "\x55\xaa")
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x20f)
	binary.LittleEndian.PutUint16(b[0x236:], 1)
	return b
}

// journal is a log that counts its messages, and may act on them.
type journal struct {
	slog.Handler
	mu    *sync.Mutex
	count map[string]int
	on    func(message string)
}

func newJournal() *journal {
	return &journal{Handler: slog.DiscardHandler, mu: new(sync.Mutex), count: map[string]int{}}
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	j.mu.Lock()
	j.count[r.Message]++
	j.mu.Unlock()
	if j.on != nil {
		j.on(r.Message)
	}
	return nil
}

func (j *journal) times(message string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.count[message]
}

const (
	packing    = "packing an image"
	assembling = "assembling a RAM disk"
)

// open opens the site's depot.
func (s site) open(t *testing.T, j *journal) *Depot {
	t.Helper()
	d, err := Open(Options{Dir: s.at("depot"), Images: s, Assets: bootloader.Assets{Dir: s.at("assets")}, Agent: s.at("agent"), Log: slog.New(j)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// run opens the depot and lets it work until stop, or the test's end.
func (s site) run(t *testing.T, j *journal) (d *Depot, stop func()) {
	t.Helper()
	d = s.open(t, j)
	return d, s.start(t, d)
}

// start lets a depot work until stop, or the test's end.
func (s site) start(t *testing.T, d *Depot) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

var tiny = Key{Image: "tiny"}

func mustKit(t *testing.T, d *Depot, key Key) *Kit {
	t.Helper()
	kit, err := d.Kit(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return kit
}

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("the error is %v, and should say %q", err, word)
		}
	}
}

func TestKitHasAllThatItTakes(t *testing.T) {
	s := newSite(t)
	d, _ := s.run(t, newJournal())
	kit := mustKit(t, d, tiny)
	if kit.Init != "/sbin/init" || len(kit.Kernels) != 1 || kit.Kernels[0].Version != version || strings.Join(kit.Filesystems, " ") != "ext4" || kit.Entries == 0 {
		t.Errorf("got %+v", kit)
	}
	if got, err := os.ReadFile(d.Path(kit.Kernel.Digest)); err != nil || !bytes.Equal(got, kernelImage()) {
		t.Errorf("the kernel has %d bytes (%v)", len(got), err)
	}
	for _, name := range bootloader.LoaderNames(bootloader.AMD64) {
		if got, err := os.ReadFile(d.Path(kit.Loaders[name].Digest)); err != nil || string(got) != "loader "+name {
			t.Errorf("%s is %q (%v)", name, got, err)
		}
	}
	for _, f := range kit.files() {
		if info, err := os.Stat(d.Path(f.Digest)); err != nil || info.Size() != f.Size || info.Size() == 0 {
			t.Errorf("%+v: %v, %v", f, info, err)
		}
	}
	tree, done, err := d.OpenPack(kit.Pack)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if _, err := tree.Entry("/sbin/init"); err != nil {
		t.Error(err)
	}
	if _, err := tree.Entry("/var/cache/big"); err == nil {
		t.Error("a volatile file is in the pack")
	}
	if status := d.Status(tiny); status.Busy || status.Err != nil || status.Kit != kit {
		t.Errorf("the status is %+v", status)
	}
}

func TestKitIsMadeOnceAndKeptOverRestarts(t *testing.T) {
	s, j := newSite(t), newJournal()
	d, stop := s.run(t, j)
	first := mustKit(t, d, tiny)
	if again := mustKit(t, d, tiny); again != first {
		t.Error("an unchanged image got another kit")
	}
	stop()
	d, _ = s.run(t, j)
	second := mustKit(t, d, tiny)
	if second.Pack != first.Pack || second.RAMDisk != first.RAMDisk || second.Kernel != first.Kernel {
		t.Errorf("after a restart: %+v, was %+v", second, first)
	}
	if j.times(packing) != 1 || j.times(assembling) != 1 {
		t.Errorf("packed %d times, assembled %d times", j.times(packing), j.times(assembling))
	}
}

func TestAChangedImageGetsANewKit(t *testing.T) {
	s, j := newSite(t), newJournal()
	d, _ := s.run(t, j)
	first := mustKit(t, d, tiny)
	s.put(t, "images/tiny/etc/new", []byte("new"))
	second := mustKit(t, d, tiny)
	if second.Pack == first.Pack || j.times(packing) != 2 {
		t.Error("the pack is still the old one")
	}
	if !d.has(first.Pack) {
		t.Error("the old pack is gone, and a machine may be in the middle of it")
	}
}

func TestAnImageThatChangesWhileItIsPackedIsPackedAgain(t *testing.T) {
	s, j := newSite(t), newJournal()
	changes := 0
	j.on = func(message string) {
		if changes++; message == packing && changes == 1 {
			s.put(t, "images/tiny/etc/new", []byte("new"))
		}
	}
	d, _ := s.run(t, j)
	kit := mustKit(t, d, tiny)
	if j.times(packing) != 2 {
		t.Errorf("packed %d times", j.times(packing))
	}
	tree, done, err := d.OpenPack(kit.Pack)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if _, err := tree.Entry("/etc/new"); err != nil {
		t.Error(err)
	}
}

func TestAnImageThatNeverRestsIsNamed(t *testing.T) {
	s, j := newSite(t), newJournal()
	j.on = func(message string) {
		if message == packing {
			s.put(t, "images/tiny/etc/log", []byte(time.Now().String()))
		}
	}
	d, _ := s.run(t, j)
	_, err := d.Kit(t.Context(), tiny)
	wantError(t, err, "tiny", "changed while it was packed", "in a copy")
	if j.times(packing) != maxChanges {
		t.Errorf("packed %d times", j.times(packing))
	}
}

// TestADepotThatStopsSaysNothingOfAChange: who stops a server while it packs an image is
// not told that the image changed.
func TestADepotThatStopsSaysNothingOfAChange(t *testing.T) {
	s, j := newSite(t), newJournal()
	d := s.open(t, j)
	ctx, cancel := context.WithCancel(t.Context())
	j.on = func(message string) {
		if message == packing {
			cancel()
		}
	}
	d.Want(tiny)
	if err := d.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := j.count; len(got) != 1 || got[packing] != 1 {
		t.Errorf("it said %v", got)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, s site)
		words []string
	}{
		"image":    {func(t *testing.T, s site) { s.remove(t, "images/tiny") }, []string{"tiny", "no such image", "images/"}},
		"manifest": {func(t *testing.T, s site) { s.remove(t, "images/tiny/.cloudlet") }, []string{"tiny", "not a cloudlet"}},
		"kernel":   {func(t *testing.T, s site) { s.remove(t, "images/tiny/boot") }, []string{"tiny", "no kernel", "install one"}},
		"modules":  {func(t *testing.T, s site) { s.remove(t, "images/tiny/lib") }, []string{"tiny", "/lib/modules/" + version}},
		"filesystem": {func(t *testing.T, s site) {
			s.put(t, "images/tiny/lib/modules/"+version+"/modules.builtin", nil)
		}, []string{"tiny", version, "no ext4", "no mkfs", "xfsprogs"}},
		"init": {func(t *testing.T, s site) { s.remove(t, "images/tiny/sbin/init") }, []string{"tiny", "/sbin/init", "install an init"}},
		"drivers": {func(t *testing.T, s site) {
			s.put(t, "images/tiny/lib/modules/"+version+"/modules.dep", nil)
		}, []string{"no network drivers", "no storage drivers"}},
		"version": {func(t *testing.T, s site) {
			s.remove(t, "images/tiny/boot")
			s.put(t, "images/tiny/vmlinuz", kernelImage())
			s.put(t, "images/tiny/lib/modules/other/modules.dep", nil)
		}, []string{"/vmlinuz", "tells no version", "vmlinuz-VERSION"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			c.spoil(t, s)
			d, _ := s.run(t, newJournal())
			_, err := d.Kit(t.Context(), tiny)
			wantError(t, err, c.words...)
			if status := d.Status(tiny); status.Err == nil || status.Busy || status.Kit != nil {
				t.Errorf("the status is %+v", status)
			}
		})
	}
}

// otherArch is an architecture that is not this host's, with a kernel for it.
func otherArch() (arch string, kernel []byte) {
	if runtime.GOARCH == "arm64" {
		return "amd64", kernelImage()
	}
	kernel = make([]byte, 4096)
	copy(kernel[56:], "ARM\x64")
	return "arm64", kernel
}

// TestTheAgentIsOfTheImagesArchitecture: an image for other machines than this host
// gets the agent that is built for those, and none boots without it.
func TestTheAgentIsOfTheImagesArchitecture(t *testing.T) {
	s := newSite(t)
	arch, kernel := otherArch()
	s.put(t, "images/tiny/boot/vmlinuz-"+version, kernel)
	for _, name := range bootloader.LoaderNames(bootloader.ARM64) {
		s.put(t, "assets/"+name, []byte("loader "+name))
	}
	d, _ := s.run(t, newJournal())
	_, err := d.Kit(t.Context(), tiny)
	wantError(t, err, "tiny", version, "linux/"+arch, "make build-all", "--assets")

	program := imagetest.GoProgram(arch, "")
	s.put(t, "assets/cloudlets-"+arch, program)
	d.mayTryAgain(tiny)
	first := mustKit(t, d, tiny)
	if init := initOf(t, d, first); !bytes.Equal(init, program) {
		t.Errorf("/init is %.40q", init)
	}
	// After an upgrade, the RAM disk has the new one.
	program = append(program, "upgraded"...)
	s.put(t, "assets/cloudlets-"+arch, program)
	d, _ = s.run(t, newJournal())
	second := mustKit(t, d, tiny)
	if init := initOf(t, d, second); !bytes.Equal(init, program) || second.Pack != first.Pack {
		t.Errorf("/init is %.40q, the pack %v, and before it was %v", init, second.Pack, first.Pack)
	}
}

// TestTheAgentIsTheOneCarried: /init is the program for machines that this one carries,
// and this one's file is not even looked for.
func TestTheAgentIsTheOneCarried(t *testing.T) {
	s := newSite(t)
	program := append(imagetest.GoProgram(runtime.GOARCH, ""), "the small one"...)
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	d, err := Open(Options{
		Dir: s.at("depot"), Images: s, Assets: bootloader.Assets{Dir: s.at("assets")}, Agent: s.at("absent"), Log: slog.New(newJournal()),
		Embedded: ramdisk.Embedded{Files: fstest.MapFS{"agent-" + runtime.GOARCH + ".zst": {Data: w.EncodeAll(program, nil)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.start(t, d)
	if init := initOf(t, d, mustKit(t, d, tiny)); !bytes.Equal(init, program) {
		t.Errorf("/init is %.40q", init)
	}
}

// initOf reads the first program of a kit's RAM disk.
func initOf(t *testing.T, d *Depot, kit *Kit) []byte {
	t.Helper()
	f, err := os.Open(d.Path(kit.RAMDisk.Digest))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	// In a newc header of 110 bytes, the twelfth number is the length of the name, and
	// the seventh that of the content. Each is filled up to 4 bytes.
	at := bytes.Index(all, []byte("init\x00")) - 110
	size, err := strconv.ParseUint(string(all[at+6+6*8:at+6+7*8]), 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	content := all[at+(110+len("init\x00")+3)/4*4:]
	return content[:size]
}

// TestAPackedKernelIsServedUnpacked: firmware and most boot loaders start no kernel
// that is packed by gzip, as those of some distributions for arm64 are.
func TestAPackedKernelIsServedUnpacked(t *testing.T) {
	s := newSite(t)
	kernel := append(kernelImage(), bytes.Repeat([]byte("code "), 1<<16)...)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(kernel); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s.put(t, "images/tiny/boot/vmlinuz-"+version, packed.Bytes())
	d, _ := s.run(t, newJournal())
	kit := mustKit(t, d, tiny)
	if got, err := os.ReadFile(d.Path(kit.Kernel.Digest)); err != nil || !bytes.Equal(got, kernel) || kit.Kernel.Size != int64(len(kernel)) {
		t.Errorf("the kernel of %d bytes has %d, and begins %.20q: %v", kit.Kernel.Size, len(got), got, err)
	}
}

// armImage makes the image one for arm64, on a host that has no boot loaders.
func armImage(t *testing.T) (site, *Depot) {
	t.Helper()
	s := newSite(t)
	kernel := make([]byte, 4096)
	copy(kernel[56:], "ARM\x64")
	s.put(t, "images/tiny/boot/vmlinuz-"+version, kernel)
	s.put(t, "assets/cloudlets-arm64", imagetest.GoProgram("arm64", ""))
	d, _ := s.run(t, newJournal())
	d.assets.Host = fstest.MapFS{}
	return s, d
}

func TestAMissingBootLoaderIsNamed(t *testing.T) {
	_, d := armImage(t)
	_, err := d.Kit(t.Context(), tiny)
	wantError(t, err, "tiny", bootloader.SystemdARM64, "install systemd-boot-efi:arm64", "in the image", "put the files into ")
}

func TestTheImagesOwnBootLoaderIsTaken(t *testing.T) {
	s, d := armImage(t)
	s.put(t, "images/tiny/usr/lib/systemd/boot/efi/"+bootloader.SystemdARM64, []byte("the image's"))
	kit := mustKit(t, d, tiny)
	got, err := os.ReadFile(d.Path(kit.Loaders[bootloader.SystemdARM64].Digest))
	if err != nil || string(got) != "the image's" {
		t.Errorf("the boot loader is %q: %v", got, err)
	}
}

func TestAKernelWithoutAVersionHasThatOfTheOnlyModules(t *testing.T) {
	s := newSite(t)
	s.remove(t, "images/tiny/boot")
	s.put(t, "images/tiny/vmlinuz", kernelImage())
	d, _ := s.run(t, newJournal())
	if kit := mustKit(t, d, tiny); kit.Kernels[0].Version != version {
		t.Errorf("got %+v", kit.Kernels)
	}
}

// TestAlpine: the name of Alpine's kernel is short, and the kernel itself tells
// which modules it has.
func TestAlpine(t *testing.T) {
	const release = "6.6.9-0-lts"
	s := newSite(t)
	s.remove(t, "images/tiny/boot")
	if err := os.Rename(s.at("images/tiny/lib/modules/"+version), s.at("images/tiny/lib/modules/"+release)); err != nil {
		t.Fatal(err)
	}
	s.put(t, "images/tiny/lib/modules/6.6.8-0-lts/modules.dep", nil)
	kernel := kernelImage()
	binary.LittleEndian.PutUint16(kernel[0x20e:], 0x400)
	copy(kernel[0x600:], release+" (buildozer@build) #1-Alpine SMP\x00")
	s.put(t, "images/tiny/boot/vmlinuz-lts", kernel)
	s.put(t, "images/tiny/boot/initramfs-lts", []byte("RAM disk"))
	d, _ := s.run(t, newJournal())
	kit := mustKit(t, d, tiny)
	if k := kit.Kernels[0]; k.Version != release || k.Path != "/boot/vmlinuz-lts" || k.Initrd != "/boot/initramfs-lts" {
		t.Errorf("the kernel is %+v", k)
	}
}

// TestTheManifestNamesTheInit: the system starts with what the manifest says,
// and not with a shell that a kernel would find.
func TestTheManifestNamesTheInit(t *testing.T) {
	s := newSite(t)
	s.remove(t, "images/tiny/sbin")
	s.put(t, "images/tiny/bin/sh", []byte("shell"))
	s.put(t, "images/tiny/usr/lib/systemd/systemd", []byte("systemd"))
	s.put(t, "images/tiny/.cloudlet/manifest", []byte(`{"entrypoints": {"systemd": {"type": "init", "path": "/usr/lib/systemd/systemd"}}}`))
	d, _ := s.run(t, newJournal())
	if kit := mustKit(t, d, tiny); kit.Init != "/usr/lib/systemd/systemd" {
		t.Errorf("the system starts with %s", kit.Init)
	}
	s.remove(t, "images/tiny/usr/lib/systemd/systemd")
	_, err := d.Kit(t.Context(), tiny)
	wantError(t, err, "tiny", "systemd", "no program to start", `correct its "path"`)
}

func TestAMendedImageIsMadeAgain(t *testing.T) {
	s := newSite(t)
	s.remove(t, "images/tiny/sbin/init")
	d, _ := s.run(t, newJournal())
	if _, err := d.Kit(t.Context(), tiny); err == nil {
		t.Fatal("no error")
	}
	s.put(t, "images/tiny/sbin/init", []byte("init"))
	mustKit(t, d, tiny)
	if err := d.Status(tiny).Err; err != nil {
		t.Errorf("the status still is %v", err)
	}
}

func TestABrokenImageKeepsTheLastGoodKit(t *testing.T) {
	s := newSite(t)
	d, _ := s.run(t, newJournal())
	good := mustKit(t, d, tiny)
	s.remove(t, "images/tiny/boot")
	if _, err := d.Kit(t.Context(), tiny); err == nil {
		t.Error("a broken image's kit was given out as if it were the image as it is now")
	}
	if status := d.Status(tiny); status.Kit != good || status.Err == nil {
		t.Errorf("the status is %+v", status)
	}
}

func TestManyWhoAskShareOneMaking(t *testing.T) {
	s, j := newSite(t), newJournal()
	d, _ := s.run(t, j)
	var wg sync.WaitGroup
	kits := make([]*Kit, 20)
	for i := range kits {
		wg.Go(func() {
			kit, err := d.Kit(t.Context(), tiny)
			if err != nil {
				t.Error(err)
			}
			kits[i] = kit
		})
	}
	wg.Wait()
	for _, kit := range kits {
		if kit == nil || kit.Pack != kits[0].Pack {
			t.Errorf("got %+v", kit)
		}
	}
	if j.times(packing) != 1 {
		t.Errorf("packed %d times", j.times(packing))
	}
}

func TestWhoWaitsMayGiveUp(t *testing.T) {
	s := newSite(t)
	d := s.open(t, newJournal()) // nobody works
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.Kit(ctx, tiny)
	wantError(t, err, "tiny", "still being packed", "ask again")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if !d.Status(tiny).Busy {
		t.Error("it is not being made any more")
	}
}

func TestStoppingInTheMiddleLeavesNothingHalf(t *testing.T) {
	s, j := newSite(t), newJournal()
	reached := make(chan struct{})
	var once sync.Once
	proceed := make(chan struct{})
	j.on = func(message string) {
		if message == packing {
			once.Do(func() { close(reached); <-proceed })
		}
	}
	d := s.open(t, j)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	d.Want(tiny)
	<-reached
	cancel()
	close(proceed)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, dir := range []string{"files", "memo"} {
		if names, err := os.ReadDir(filepath.Join(s.at("depot"), dir)); err != nil || len(names) != 0 {
			t.Errorf("%s has %v (%v)", dir, names, err)
		}
	}
}

func TestPathOfWhatIsNoDigest(t *testing.T) {
	d := newSite(t).open(t, newJournal())
	none := d.Path("none")
	for _, hostile := range []string{
		"", "sha256:", "../../etc/passwd", "sha256:../../../etc/passwd", "sha256:" + strings.Repeat("A", 64),
		"sha256:" + strings.Repeat("a", 63), "sha256:" + strings.Repeat("a", 64) + "\n", "sha256:" + strings.Repeat("a", 64) + "/..",
		"sha512:" + strings.Repeat("a", 64), "/etc/passwd",
	} {
		if got := d.Path(hostile); got != none {
			t.Errorf("%q leads to %s", hostile, got)
		}
	}
	if _, err := os.Stat(none); err == nil {
		t.Errorf("%s is there", none)
	}
}

func TestAFileAppearsOnlyWhenItIsWhole(t *testing.T) {
	d := newSite(t).open(t, newJournal())
	broken := errors.New("the source is gone")
	_, err := d.put(func(w io.Writer) (string, error) {
		_, _ = io.WriteString(w, "half")
		return "", broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if names, err := os.ReadDir(filepath.Join(d.dir, "files")); err != nil || len(names) != 0 {
		t.Errorf("there are %v (%v)", names, err)
	}
}

// age makes all files of the depot look as if they had been there for days.
func (s site) age(t *testing.T) {
	t.Helper()
	then := time.Now().Add(-3 * keepUnused)
	for _, dir := range []string{"depot/files/*", "depot/files/.*", "depot/memo/*"} {
		names, err := filepath.Glob(s.at(dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.Chtimes(name, then, then); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSweepRemovesWhatNobodyUses(t *testing.T) {
	s, j := newSite(t), newJournal()
	d, stop := s.run(t, j)
	first := mustKit(t, d, tiny)
	s.put(t, "images/tiny/etc/new", []byte("new"))
	s.age(t)
	second := mustKit(t, d, tiny) // from now on nobody new gets the first
	s.put(t, "depot/files/.part-123", []byte("half"))
	d.sweep()
	for _, f := range append(first.files(), second.files()...) {
		if !d.has(f) {
			t.Errorf("%s is gone, and a machine may be in the middle of it", f.Digest)
		}
	}
	s.age(t)
	d.sweep()
	for _, f := range second.files() {
		if !d.has(f) {
			t.Errorf("%s is gone, and it is in use", f.Digest)
		}
	}
	if d.has(first.Pack) {
		t.Error("the old pack is still there")
	}
	if _, err := os.Stat(s.at("depot/files/.part-123")); err == nil {
		t.Error("a half-written file is still there")
	}
	stop()
	d, _ = s.run(t, j)
	mustKit(t, d, tiny)
	if j.times(packing) != 2 {
		t.Errorf("packed %d times: the sweep took the record of what is in use", j.times(packing))
	}
}

func TestAPackThatCannotBeReadIsMadeAnew(t *testing.T) {
	s, j := newSite(t), newJournal()
	d, stop := s.run(t, j)
	kit := mustKit(t, d, tiny)
	stop()
	// As another version of this program might have left it.
	if err := os.WriteFile(d.Path(kit.Pack.Digest), make([]byte, kit.Pack.Size), 0o644); err != nil {
		t.Fatal(err)
	}
	d, _ = s.run(t, j)
	if again := mustKit(t, d, tiny); again.Pack != kit.Pack || j.times(packing) != 2 {
		t.Errorf("got %+v, packed %d times", again, j.times(packing))
	}
}

func TestAnAgentThatWasReplacedIsNotUsed(t *testing.T) {
	s := newSite(t)
	d, _ := s.run(t, newJournal())
	s.put(t, "agent", []byte("an other")) // of another length, then of the same
	_, err := d.Kit(t.Context(), tiny)
	wantError(t, err, "init", "8 of 9")
	s.put(t, "agent", []byte("an agent!"))
	d.mayTryAgain(tiny)
	_, err = d.Kit(t.Context(), tiny)
	wantError(t, err, "was replaced", "restart the server")
	if _, err := Open(Options{Dir: s.at("depot"), Agent: s.at("absent")}); err == nil {
		t.Error("opened without an agent")
	}
}

// TestStatusLetsAFailedImageTryAgain: DHCP names no file for an image that failed,
// so nobody asks for its kit.
func TestStatusLetsAFailedImageTryAgain(t *testing.T) {
	s := newSite(t)
	s.remove(t, "images/tiny/sbin/init")
	d, _ := s.run(t, newJournal())
	if _, err := d.Kit(t.Context(), tiny); err == nil {
		t.Fatal("no error")
	}
	s.put(t, "images/tiny/sbin/init", []byte("init"))
	if d.Status(tiny).Err == nil {
		t.Fatal("it did not fail")
	}
	d.mayTryAgain(tiny)
	if !d.Status(tiny).Busy {
		t.Error("nothing tries again")
	}
	mustKit(t, d, tiny)
}

// TestPackingLeavesRoom: a pack does not take the room that the server's state
// needs.
func TestPackingLeavesRoom(t *testing.T) {
	s := newSite(t)
	d := s.open(t, newJournal())
	left := int64(reserve) + roomStep - 1
	d.free = func(string) (int64, error) { return left, nil }
	_, err := d.put(func(w io.Writer) (string, error) { _, err := w.Write([]byte("x")); return "", err })
	wantError(t, err, "75.5 MB", "--state")
	left++
	if _, err := d.put(func(w io.Writer) (string, error) { _, err := w.Write([]byte("x")); return "", err }); err != nil {
		t.Error(err)
	}
	_, err = d.put(func(w io.Writer) (string, error) {
		for range 20 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return "", err
			}
			left -= 1 << 20
		}
		return "", nil
	})
	wantError(t, err, "are free there")
	if names, err := os.ReadDir(filepath.Join(s.at("depot"), "files")); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// mayTryAgain ends the pause after a failure.
func (d *Depot) mayTryAgain(key Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kits[key].retry = time.Time{}
}

// TestAFailedImageIsNotMadeAgainAtOnce: machines ask for it over and over. It is
// packed again when it has changed, or after a pause.
func TestAFailedImageIsNotMadeAgainAtOnce(t *testing.T) {
	s, j := newSite(t), newJournal()
	s.remove(t, "images/tiny/boot")
	d, _ := s.run(t, j)
	d.Want(tiny)
	for range 20 {
		if _, err := d.Kit(t.Context(), tiny); err == nil {
			t.Fatal("an image without a kernel is no error")
		}
	}
	if n := j.times("an image cannot be booted"); n != 1 {
		t.Errorf("it was made %d times", n)
	}
	d.mayTryAgain(tiny)
	if _, err := d.Kit(t.Context(), tiny); err == nil || j.times("an image cannot be booted") != 2 {
		t.Errorf("after the pause: %v", err)
	}
	first := d.kits[tiny].pause
	d.mayTryAgain(tiny)
	_, _ = d.Kit(t.Context(), tiny)
	if second := d.kits[tiny].pause; second != 2*first {
		t.Errorf("the pauses are %s and %s", first, second)
	}
}

// TestOneLookForAllWhoWait: many machines ask for an image at once. While the
// look at it goes on, all of them wait for that one.
func TestOneLookForAllWhoWait(t *testing.T) {
	s := newSite(t)
	d, _ := s.run(t, newJournal())
	mustKit(t, d, tiny)
	slow := &slowFinder{Finder: s, entered: make(chan struct{}, 100), proceed: make(chan struct{})}
	d.finder = slow
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if _, err := d.Kit(t.Context(), tiny); err != nil {
				t.Error(err)
			}
		})
	}
	<-slow.entered
	close(slow.proceed)
	wg.Wait()
	if n := len(slow.entered); n > 0 {
		t.Errorf("%d looks more than the one", n)
	}
}

// slowFinder tells of each look at an image, which goes on when it may.
type slowFinder struct {
	Finder
	entered chan struct{}
	proceed chan struct{}
}

func (f *slowFinder) ImagePath(name string) (string, bool) {
	f.entered <- struct{}{}
	<-f.proceed
	return f.Finder.ImagePath(name)
}

// TestFilesOfARemovedImageGo: the site has lost an image. A day later its pack
// is gone, and an image that is there keeps its own.
func TestFilesOfARemovedImageGo(t *testing.T) {
	s := newSite(t)
	d, _ := s.run(t, newJournal())
	kit := mustKit(t, d, tiny)
	old := func() {
		then := time.Now().Add(-2 * keepUnused)
		for _, f := range kit.files() {
			if err := os.Chtimes(d.Path(f.Digest), then, then); err != nil {
				t.Fatal(err)
			}
		}
	}
	old()
	d.sweep()
	if !d.has(kit.Pack) {
		t.Fatal("the pack of an image that is there is gone")
	}
	s.remove(t, "images/tiny")
	d.sweep()
	if d.has(kit.Pack) {
		t.Error("the pack of a removed image stays")
	}
	if _, err := d.Kit(t.Context(), tiny); !errors.Is(err, ErrNoImage) {
		t.Errorf("got %v", err)
	}
}

func TestEachKitIsToldOf(t *testing.T) {
	s := newSite(t)
	told := make(chan Status, 4)
	d, err := Open(Options{Dir: s.at("depot"), Images: s, Assets: bootloader.Assets{Dir: s.at("assets")}, Agent: s.at("agent"),
		Notify: func(key Key, status Status) { told <- status }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	d.Want(tiny)
	if status := <-told; status.Kit == nil || status.Err != nil || status.Busy {
		t.Errorf("told %+v", status)
	}
	d.Want(tiny) // a file of the site was saved: nothing changed for the image
	d.Want(Key{Image: "absent", EntryPoint: "x"})
	if status := <-told; !errors.Is(status.Err, ErrNoImage) {
		t.Errorf("told %+v", status)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
