// Package ramdisk assembles the RAM disk that a machine boots into: the agent
// as /init, the kernel modules of the image's own kernel that network, storage
// and filesystems need, and the image's own mkfs for filesystems other than ext4. A RAM
// disk for a live system has the modules to find and mount its medium. It contains no
// second operating system: the same kernel and drivers run during the installation and
// after it.
package ramdisk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"cloudlets/images"
	"cloudlets/images/cpio"
)

// Options describe the content of a RAM disk.
type Options struct {
	// Version is the kernel's version, which names its folder in /lib/modules.
	Version string
	// Modules is the folder of the kernel's modules in the image; "" is
	// /lib/modules/VERSION.
	Modules string
	// Init reads the program that runs as process 1, InitSize bytes.
	Init     io.Reader
	InitSize int64
	// Purpose is the reason for which the machine boots it.
	Purpose Purpose
	// Needs names modules that the kernel must have, as a file or built in. If one
	// is missing, Build returns an error.
	Needs []string
	// Files are further files by their absolute paths. Anyone may read them.
	Files map[string][]byte
}

// Report describes the content of a RAM disk.
type Report struct {
	// Network and Storage are the numbers of drivers, modular and built in.
	Network, Storage int
	Modules          int
	Firmware         int
	// Filesystems names those that the agent can make: "ext4" if the kernel has it,
	// "xfs" and "btrfs" if the image has their mkfs.
	Filesystems []string
	// NotLive names the modules that the kernel lacks to start a system in memory whose
	// root comes from a server.
	NotLive []string
	// NotMirror names those that it lacks to start a system on two disks.
	NotMirror []string
	// Compression is "zstd", "gzip" or "none", depending on the kernel.
	Compression string
}

// Lacks describes for a person what a machine that boots this RAM disk will miss. It
// is empty if nothing is missing.
func (r Report) Lacks() []string {
	var lacks []string
	if r.Network == 0 {
		lacks = append(lacks, "the kernel has no network drivers: the agent could not reach the server")
	}
	if r.Storage == 0 {
		lacks = append(lacks, "the kernel has no storage drivers: the agent would find no disk")
	}
	if len(r.Filesystems) == 0 {
		lacks = append(lacks, "there is no filesystem to make: the kernel has no ext4, and the image no mkfs (xfsprogs, btrfs-progs)")
	}
	return lacks
}

// Build writes the RAM disk for one kernel of an image to w. Equal images,
// kernels and agents give equal bytes.
func Build(ctx context.Context, w io.Writer, tree images.Tree, opt Options) (Report, error) {
	modules, err := readModules(tree, opt.Version, opt.Modules, opt.Purpose)
	if err == nil {
		err = modules.check(opt)
	}
	if err != nil {
		return Report{}, err
	}
	b := &builder{ctx: ctx, tree: tree, modules: modules, dirs: map[string]bool{"": true, ".": true}}
	b.report.Compression = compressionOf(tree, opt.Version)
	out, err := compressor(w, b.report.Compression)
	if err != nil {
		return Report{}, err
	}
	b.out = cpio.NewWriter(out)
	if err := errors.Join(b.build(opt), out.Close()); err != nil {
		return Report{}, fmt.Errorf("build the RAM disk of kernel %s: %w", opt.Version, err)
	}
	return b.report, nil
}

// epoch is the time stamp of everything in a RAM disk, so that equal contents give equal
// bytes.
var epoch = time.Unix(0, 0)

type builder struct {
	ctx     context.Context
	tree    images.Tree
	modules *moduleSet
	out     *cpio.Writer
	dirs    map[string]bool // the folders already in the archive
	report  Report
}

func (b *builder) build(opt Options) error {
	if err := b.base(opt); err != nil {
		return err
	}
	if opt.Purpose == Install {
		if err := b.addMakers(); err != nil {
			return err
		}
	}
	if err := b.addModules(); err != nil {
		return err
	}
	return b.out.Close()
}

// base adds what every RAM disk has: mount points, a console, /init, and further
// files if there are any.
func (b *builder) base(opt Options) error {
	for _, dir := range []string{"dev", "proc", "sys", "run", "tmp", "newroot"} {
		if err := b.mkdir(dir); err != nil {
			return err
		}
	}
	console := images.Entry{Path: "/dev/console", Type: images.CharDevice, Mode: 0o600, Major: 5, Minor: 1, ModTime: epoch}
	if err := b.out.Put(console, nil); err != nil {
		return err
	}
	if err := b.out.Put(images.Entry{Path: "/init", Type: images.Regular, Mode: 0o755, Size: opt.InitSize, ModTime: epoch}, opt.Init); err != nil {
		return err
	}
	files := map[string]needed{}
	for name, content := range opt.Files {
		files[name] = needed{content: content, mode: 0o644}
	}
	return b.putAll(files)
}

func (b *builder) putAll(files map[string]needed) error {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := b.putFile(name, files[name].mode, files[name].content); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) addModules() error {
	chosen, count := b.modules.choose()
	b.report.NotLive, b.report.NotMirror = b.modules.lacking(liveNeeds), b.modules.lacking(mirrorNeeds)
	b.report.Network, b.report.Storage, b.report.Modules = count[network], count[storage], len(chosen)
	blobs := map[string]needed{}
	dir := "/lib/modules/" + path.Base(b.modules.dir)
	var deps strings.Builder
	for _, module := range chosen {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		content, err := b.readModule(module)
		if err != nil {
			return err
		}
		b.collectFirmware(content, blobs)
		if err := b.putFile(path.Join(dir, stripCompression(module)), 0o644, content); err != nil {
			return err
		}
		deps.WriteString(depLine(module, b.modules.deps[module]))
	}
	b.report.Firmware = len(blobs)
	if err := b.putAll(blobs); err != nil {
		return err
	}
	if err := b.putFile(dir+"/modules.dep", 0o644, []byte(deps.String())); err != nil {
		return err
	}
	return b.copyIndexes(dir, chosen)
}

// copyIndexes copies the other module indexes. From modules.alias it copies only the
// lines for the chosen modules.
func (b *builder) copyIndexes(dir string, chosen []string) error {
	for _, name := range []string{"modules.alias", "modules.softdep", "modules.builtin"} {
		content, err := images.ReadFile(b.tree, path.Join(b.modules.dir, name), maxIndex)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if name == "modules.alias" {
			content = aliasesOf(content, chosen)
		}
		if err := b.putFile(path.Join(dir, name), 0o644, content); err != nil {
			return err
		}
	}
	return nil
}

func depLine(module string, deps []string) string {
	line := stripCompression(module) + ":"
	for _, dep := range deps {
		line += " " + stripCompression(dep)
	}
	return line + "\n"
}

// readModule reads and decompresses a module. The RAM disk is compressed as a whole, so
// the module need not be, and the agent does not have to decompress it.
func (b *builder) readModule(module string) ([]byte, error) {
	name := path.Join(b.modules.dir, module)
	data, err := images.ReadFile(b.tree, name, maxProgram)
	if err != nil {
		return nil, fmt.Errorf("read module %s: %w", name, err)
	}
	plain, err := unpack(name, data)
	if err != nil {
		return nil, fmt.Errorf("unpack module %s: %w", name, err)
	}
	return plain, nil
}

// collectFirmware adds the firmware that a module names, if the image has it in a form,
// plain or compressed, that the kernel can find.
func (b *builder) collectFirmware(module []byte, blobs map[string]needed) {
	for _, name := range firmware(module) {
		for _, suffix := range []string{"", ".zst", ".xz"} {
			at := path.Join("/lib/firmware", name) + suffix
			if content, err := images.ReadFile(b.tree, at, maxProgram); err == nil {
				blobs[at] = needed{content: content, mode: 0o644}
				break
			}
		}
	}
}

func (b *builder) putFile(name string, mode uint32, content []byte) error {
	name = strings.TrimPrefix(name, "/")
	if err := b.mkdir(path.Dir(name)); err != nil {
		return err
	}
	return b.out.Put(images.Entry{Path: "/" + name, Type: images.Regular, Mode: mode, Size: int64(len(content)), ModTime: epoch}, bytes.NewReader(content))
}

// mkdir adds a folder and its parents, unless they are in the archive already.
func (b *builder) mkdir(name string) error {
	if b.dirs[name] {
		return nil
	}
	if err := b.mkdir(path.Dir(name)); err != nil {
		return err
	}
	b.dirs[name] = true
	return b.out.Put(images.Entry{Path: "/" + name, Type: images.Directory, Mode: 0o755, ModTime: epoch}, nil)
}
