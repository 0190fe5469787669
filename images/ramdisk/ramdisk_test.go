package ramdisk

import (
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudlets/images/dirtree"
	"cloudlets/testdata/needs"
)

const version = "6.1.0-test"

func findTool(t *testing.T, pkg, name string) string {
	t.Helper()
	return needs.Tool(t, name, pkg)
}

// pipe runs a foreign program with some input and returns its output.
func pipe(t *testing.T, input []byte, dir, pkg, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(findTool(t, pkg, name), args...)
	cmd.Stdin, cmd.Dir = bytes.NewReader(input), dir
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, said.String())
	}
	return out
}

// fakeImage returns an image with the modules of a kernel.
type fakeImage string

func (f fakeImage) put(t *testing.T, name string, content []byte) {
	t.Helper()
	file := filepath.Join(string(f), name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, content, 0o755)); err != nil {
		t.Fatal(err)
	}
}

const modulesDir = "/usr/lib/modules/" + version + "/"

// moduleText returns the content of a fake module.
func moduleText(name string) []byte { return []byte(strings.Repeat("code of "+name+"\n", 1000)) }

// someModules are paths below the modules' folder, in each compression, and
// whether the RAM disk must have them.
var someModules = map[string]bool{
	"kernel/drivers/net/ethernet/e1000.ko":    true,
	"kernel/drivers/net/virtio_net.ko.xz":     true,
	"kernel/net/core/failover.ko.gz":          true, // virtio_net depends on it
	"kernel/drivers/block/virtio_blk.ko.zst":  true,
	"kernel/drivers/virtio/virtio-ring.ko.xz": true,
	"kernel/fs/btrfs/btrfs.ko.xz":             true,
	"kernel/crypto/xxhash_generic.ko.xz":      true, // btrfs' soft dependency
	"kernel/drivers/net/wireless/iwl.ko.xz":   false,
	"kernel/drivers/net/dummy.ko.xz":          false,
	"kernel/drivers/block/loop.ko.xz":         false,
	"kernel/sound/snd.ko.xz":                  false,
}

func newImage(t *testing.T) fakeImage {
	t.Helper()
	f := fakeImage(t.TempDir())
	for name := range someModules {
		f.put(t, modulesDir+name, compressed(t, name, moduleText(name)))
	}
	f.put(t, modulesDir+"modules.dep", []byte(`kernel/drivers/net/ethernet/e1000.ko:
kernel/drivers/net/virtio_net.ko.xz: kernel/net/core/failover.ko.gz kernel/drivers/virtio/virtio-ring.ko.xz
kernel/net/core/failover.ko.gz:
kernel/drivers/block/virtio_blk.ko.zst: kernel/drivers/virtio/virtio-ring.ko.xz
kernel/drivers/virtio/virtio-ring.ko.xz:
kernel/fs/btrfs/btrfs.ko.xz:
kernel/crypto/xxhash_generic.ko.xz:
kernel/drivers/net/wireless/iwl.ko.xz:
kernel/drivers/net/dummy.ko.xz:
kernel/drivers/block/loop.ko.xz:
kernel/sound/snd.ko.xz:
`))
	f.put(t, modulesDir+"modules.alias", []byte("# aliases\nalias virtio:d00000001v* virtio_net\nalias pci:v00008086d* snd\nalias xxhash64 xxhash_generic\n"))
	f.put(t, modulesDir+"modules.softdep", []byte("# soft\nsoftdep btrfs pre: crc32c xxhash64\n"))
	f.put(t, modulesDir+"modules.builtin", []byte("kernel/drivers/nvme/host/nvme-core.ko\nkernel/drivers/nvme/host/nvme.ko\nkernel/fs/ext4/ext4.ko\n"))
	f.put(t, "/boot/config-"+version, []byte("# config\nCONFIG_RD_GZIP=y\nCONFIG_RD_ZSTD=y\n"))
	if err := os.Symlink("usr/lib", filepath.Join(string(f), "lib")); err != nil {
		t.Fatal(err)
	}
	return f
}

// withMkfs adds this machine's mkfs.btrfs to the image, and its mkfs.xfs behind a link
// as in some distributions.
func (f fakeImage) withMkfs(t *testing.T) fakeImage {
	t.Helper()
	f.addProgram(t, findTool(t, "btrfs-progs", "mkfs.btrfs"), "/bin/mkfs.btrfs")
	f.addProgram(t, findTool(t, "xfsprogs", "mkfs.xfs"), "/usr/lib/xfsprogs/mkfs")
	if err := errors.Join(os.MkdirAll(string(f)+"/usr/sbin", 0o755), os.Symlink("../lib/xfsprogs/mkfs", filepath.Join(string(f), "usr/sbin/mkfs.xfs"))); err != nil {
		t.Fatal(err)
	}
	return f
}

func compressed(t *testing.T, name string, text []byte) []byte {
	t.Helper()
	switch filepath.Ext(name) {
	case ".xz":
		return pipe(t, text, "", "xz-utils", "xz", "-c")
	case ".zst":
		return pipe(t, text, "", "zstd", "zstd", "-c")
	case ".gz":
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write(text)
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	return text
}

// addProgram copies a program of this machine into the image, with all
// libraries that ldd reports.
func (f fakeImage) addProgram(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	f.put(t, to, content)
	for word := range strings.FieldsSeq(string(pipe(t, nil, "", "libc-bin", "ldd", from))) {
		if strings.HasPrefix(word, "/") {
			library, err := os.ReadFile(word)
			if err != nil {
				t.Fatal(err)
			}
			f.put(t, word, library)
		}
	}
}

func (f fakeImage) build(t *testing.T) ([]byte, Report, error) {
	t.Helper()
	tree, err := dirtree.Open(string(f))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	init := "the agent itself"
	report, err := Build(t.Context(), &out, tree, Options{Version: version, Init: strings.NewReader(init), InitSize: int64(len(init)), Files: map[string][]byte{"/etc/own/trust.pem": []byte("whom to trust")}})
	return out.Bytes(), report, err
}

// unpacked returns a directory into which cpio has unpacked a RAM disk.
func unpacked(t *testing.T, archive []byte) string {
	t.Helper()
	needs.Root(t) // a RAM disk holds a device
	dir := t.TempDir()
	pipe(t, archive, dir, "cpio", "cpio", "--extract", "--make-directories", "--quiet", "--no-absolute-filenames")
	return dir
}

func TestRAMDiskHoldsWhatTheAgentNeeds(t *testing.T) {
	f := newImage(t).withMkfs(t)
	packed, report, err := f.build(t)
	if err != nil {
		t.Fatal(err)
	}
	if report.Network != 2 || report.Storage != 2 || report.Modules != 7 || report.Compression != "zstd" || !slices.Equal(report.Filesystems, []string{"ext4", "xfs", "btrfs"}) || report.Lacks() != nil {
		t.Errorf("the report is %+v, and it lacks %q", report, report.Lacks())
	}
	root := unpacked(t, pipe(t, packed, "", "zstd", "zstd", "-dc"))
	if got, err := os.ReadFile(root + "/init"); err != nil || string(got) != "the agent itself" {
		t.Errorf("/init is %q (%v)", got, err)
	}
	if got, err := os.ReadFile(root + "/etc/own/trust.pem"); err != nil || string(got) != "whom to trust" {
		t.Errorf("a further file is %q (%v)", got, err)
	}
	for name, mode := range map[string]fs.FileMode{
		"etc/own": 0o755 | fs.ModeDir, "etc/own/trust.pem": 0o644, "init": 0o755, "dev/console": 0o600 | fs.ModeDevice | fs.ModeCharDevice, "newroot": 0o755 | fs.ModeDir, "proc": 0o755 | fs.ModeDir,
		"sbin/mkfs.xfs": 0o755, "usr/sbin/mkfs.xfs": 0o755,
	} {
		if info, err := os.Lstat(filepath.Join(root, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v (%v), want %s", name, info, err, mode)
		}
	}
	wantModules(t, root+"/lib/modules/"+version)
	wantMkfs(t, root)
}

// TestModulesOfFilesystemsThatCannotBeMadeAreLeftOut: without mkfs.btrfs, the agent has no
// use for the module and what only that depends on.
func TestModulesOfFilesystemsThatCannotBeMadeAreLeftOut(t *testing.T) {
	packed, report, err := newImage(t).build(t)
	if err != nil {
		t.Fatal(err)
	}
	if report.Modules != 5 || !slices.Equal(report.Filesystems, []string{"ext4"}) || !slices.Equal(report.NotMirror, []string{"md_mod", "raid1"}) {
		t.Errorf("the report is %+v", report)
	}
	if root := unpacked(t, pipe(t, packed, "", "zstd", "zstd", "-dc")); !isAbsent(root+"/lib/modules/"+version+"/kernel/fs") || !isAbsent(root+"/lib/modules/"+version+"/kernel/crypto") {
		t.Error("btrfs or what it depends on is in the RAM disk")
	}
}

func isAbsent(name string) bool {
	_, err := os.Lstat(name)
	return errors.Is(err, fs.ErrNotExist)
}

func wantModules(t *testing.T, dir string) {
	t.Helper()
	for name, want := range someModules {
		got, err := os.ReadFile(filepath.Join(dir, stripCompression(name)))
		if want && !bytes.Equal(got, moduleText(name)) {
			t.Errorf("%s is %.20q (%v)", name, got, err)
		}
		if !want && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is in the RAM disk, and nobody needs it (%v)", name, err)
		}
	}
	for name, want := range map[string]string{
		"modules.dep":     "kernel/drivers/net/virtio_net.ko: kernel/net/core/failover.ko kernel/drivers/virtio/virtio-ring.ko\n",
		"modules.alias":   "alias virtio:d00000001v* virtio_net\n",
		"modules.softdep": "softdep btrfs pre: crc32c xxhash64\n",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s is %q (%v), and should have %q", name, got, err, want)
		}
		if got, _ := os.ReadFile(filepath.Join(dir, name)); strings.Contains(string(got), "snd") {
			t.Errorf("%s tells of modules that are not there", name)
		}
	}
}

// wantMkfs runs the RAM disk's mkfs with no other files around it.
func wantMkfs(t *testing.T, root string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(root+"/disk", nil, 0o600), os.Truncate(root+"/disk", 512<<20)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(findTool(t, "coreutils", "chroot"), root, "/sbin/mkfs.xfs", "-q", "/disk").CombinedOutput()
	if err != nil {
		t.Fatalf("the RAM disk's mkfs does not run there: %v: %s", err, out)
	}
	if out, err := exec.Command(findTool(t, "xfsprogs", "xfs_repair"), "-n", "-f", root+"/disk").CombinedOutput(); err != nil {
		t.Errorf("what it made: %v: %s", err, out)
	}
}

func TestRAMDiskIsTheSameEachTime(t *testing.T) {
	f := newImage(t)
	one, _, err1 := f.build(t)
	two, _, err2 := f.build(t)
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(one, two) {
		t.Errorf("two builds differ: %d and %d bytes (%v)", len(one), len(two), err)
	}
}

func TestCompressionIsOneThatTheKernelUnpacks(t *testing.T) {
	f := newImage(t)
	for config, want := range map[string]string{
		"\nCONFIG_RD_ZSTD=y\n":                              "zstd",
		"\nCONFIG_RD_GZIP=y\n# CONFIG_RD_ZSTD is not set\n": "gzip",
		"\n# nothing\n":                                     "none",
	} {
		f.put(t, "/boot/config-"+version, []byte(config))
		packed, report, err := f.build(t)
		if err != nil || report.Compression != want {
			t.Fatalf("%q: %+v, %v", config, report, err)
		}
		switch want {
		case "zstd":
			packed = pipe(t, packed, "", "zstd", "zstd", "-dc")
		case "gzip":
			packed = pipe(t, packed, "", "gzip", "gzip", "-dc")
		}
		if !bytes.HasPrefix(packed, []byte("070701")) {
			t.Errorf("%s: begins with %q", want, packed[:min(len(packed), 6)])
		}
	}
	if err := os.Remove(filepath.Join(string(f), "boot/config-"+version)); err != nil {
		t.Fatal(err)
	}
	if _, report, err := f.build(t); err != nil || report.Compression != "gzip" {
		t.Errorf("without a config: %+v, %v", report, err)
	}
}

func TestWhatAnImageLacksIsNamed(t *testing.T) {
	f := newImage(t)
	f.put(t, modulesDir+"modules.dep", []byte("kernel/drivers/net/dummy.ko.xz:\nkernel/drivers/block/loop.ko.xz:\n"))
	f.put(t, modulesDir+"modules.builtin", []byte("kernel/net/packet/af_packet.ko\nkernel/drivers/scsi/sd_mod.ko\n"))
	_, report, err := f.build(t)
	if err != nil {
		t.Fatal(err)
	}
	lacks := strings.Join(report.Lacks(), "\n")
	for _, want := range []string{"no network drivers", "no storage drivers", "the kernel has no ext4"} {
		if !strings.Contains(lacks, want) {
			t.Errorf("it lacks %q, and should say %q", lacks, want)
		}
	}
}

func TestImagesThatCannotBootAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, f fakeImage)
		words []string
	}{
		"no modules":     {func(t *testing.T, f fakeImage) { f.remove(t, "usr/lib/modules") }, []string{"/lib/modules/" + version, "install its kernel's package"}},
		"no modules.dep": {func(t *testing.T, f fakeImage) { f.remove(t, modulesDir+"modules.dep") }, []string{"modules.dep", "run depmod"}},
		"a module missing": {func(t *testing.T, f fakeImage) { f.remove(t, modulesDir+"kernel/drivers/net/ethernet/e1000.ko") },
			[]string{version, "e1000.ko"}},
		"a module damaged": {func(t *testing.T, f fakeImage) {
			f.put(t, modulesDir+"kernel/drivers/net/virtio_net.ko.xz", []byte("no xz"))
		}, []string{"unpack module", "virtio_net.ko.xz"}},
		"a module truncated": {func(t *testing.T, f fakeImage) {
			whole := compressed(t, "a.zst", moduleText("a"))
			f.put(t, modulesDir+"kernel/drivers/block/virtio_blk.ko.zst", whole[:len(whole)/2])
		}, []string{"unpack module", "virtio_blk.ko.zst"}},
		"a library missing": {func(t *testing.T, f fakeImage) {
			f.withMkfs(t)
			names, err := filepath.Glob(string(f) + "/*/*/libinih.so*")
			if more, err2 := filepath.Glob(string(f) + "/*/libinih.so*"); err == nil {
				names, err = append(names, more...), err2
			}
			if err != nil || len(names) == 0 {
				t.Fatalf("no libinih in the image (%v)", err)
			}
			for _, name := range names {
				f.remove(t, strings.TrimPrefix(name, string(f)))
			}
		}, []string{"mkfs.xfs", "libinih.so"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newImage(t)
			c.spoil(t, f)
			_, _, err := f.build(t)
			for _, word := range c.words {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("the error is %v, and should say %q", err, word)
				}
			}
		})
	}
}

func (f fakeImage) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(string(f), name)); err != nil {
		t.Fatal(err)
	}
}

func TestBuildEndsWithItsContext(t *testing.T) {
	tree, err := dirtree.Open(string(newImage(t)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Build(ctx, io.Discard, tree, Options{Version: version, Init: strings.NewReader("")}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAnAgentThatIsCutShortIsNoted(t *testing.T) {
	tree, err := dirtree.Open(string(newImage(t)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Build(t.Context(), io.Discard, tree, Options{Version: version, Init: strings.NewReader("short"), InitSize: 6})
	if err == nil || !strings.Contains(err.Error(), "init") || !strings.Contains(err.Error(), "5 of 6") {
		t.Errorf("got %v", err)
	}
}

func TestFirmwareOfTheChosenModulesIsTaken(t *testing.T) {
	f := newImage(t)
	f.put(t, modulesDir+"kernel/drivers/net/ethernet/e1000.ko", withModinfo(t, "license=GPL\x00firmware=bnx2/a.fw\x00firmware=bnx2/b.fw\x00firmware=absent.fw\x00firmware=../../../etc/mke2fs.conf\x00"))
	f.put(t, "/usr/lib/firmware/bnx2/a.fw", []byte("plain"))
	f.put(t, "/usr/lib/firmware/bnx2/b.fw.xz", []byte("compressed"))
	packed, report, err := f.build(t)
	if err != nil || report.Firmware != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	root := unpacked(t, pipe(t, packed, "", "zstd", "zstd", "-dc"))
	for name, want := range map[string]string{"a.fw": "plain", "b.fw.xz": "compressed"} {
		if got, err := os.ReadFile(root + "/lib/firmware/bnx2/" + name); err != nil || string(got) != want {
			t.Errorf("%s is %q (%v)", name, got, err)
		}
	}
}

// withModinfo returns an object file of this machine with a section like that
// of a kernel module.
func withModinfo(t *testing.T, info string) []byte {
	t.Helper()
	dir := t.TempDir()
	text, object := filepath.Join(dir, "modinfo"), filepath.Join(dir, "module.ko")
	if err := os.WriteFile(text, []byte(info), 0o600); err != nil {
		t.Fatal(err)
	}
	pipe(t, nil, "", "binutils", "objcopy", "--add-section", ".modinfo="+text, findTool(t, "coreutils", "true"), object)
	content, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := elf.NewFile(bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return content
}

func FuzzFirmware(f *testing.F) {
	f.Add([]byte("\x7fELF"))
	if program, err := os.ReadFile("/bin/true"); err == nil {
		f.Add(program)
	}
	f.Fuzz(func(t *testing.T, module []byte) {
		for _, name := range firmware(module) {
			if strings.Contains(name, "\x00") {
				t.Errorf("got %q", name)
			}
		}
	})
}

func FuzzModuleIndexes(f *testing.F) {
	f.Add("kernel/drivers/net/a.ko.xz: kernel/b.ko", "softdep a pre: b", "alias pci:* a")
	f.Fuzz(func(t *testing.T, deps, soft, aliases string) {
		s := &moduleSet{deps: map[string][]string{}, byName: map[string]string{}, builtin: map[string]class{}, soft: map[string][]string{}}
		for line := range strings.Lines(deps) {
			s.addDep(line)
		}
		for line := range strings.Lines(soft) {
			s.addSoft(line)
		}
		chosen, _ := s.choose()
		if kept := aliasesOf([]byte(aliases), chosen); len(kept) > len(aliases) {
			t.Errorf("%d bytes of aliases became %d", len(aliases), len(kept))
		}
	})
}
