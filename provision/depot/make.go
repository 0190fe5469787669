package depot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/uki"
	"cloudlets/images/pack"
	"cloudlets/images/ramdisk"
	"cloudlets/images/target"
	"cloudlets/provision/wire"
)

// packed is the record of a pack.
type packed struct {
	File
	Entries int   `json:"entries"`
	Bytes   int64 `json:"bytes"`
	// Content is the digest of what is packed; "" if no other server was there
	// to ask for it.
	Content string `json:"content,omitempty"`
}

// assembled is the record of a RAM disk.
type assembled struct {
	File
	Report ramdisk.Report `json:"report"`
}

// These keys of memos begin with the version of the file's format. If you change
// what a pack, a kernel's copy or a RAM disk contains, increase its version:
// then the key differs, and the file is made again.
const (
	packForm    = "pack 2 "
	kernelForm  = "kernel 2 "
	ramdiskForm = "ramdisk 4 "
)

// maxChanges is how often an image may change while it is packed before make
// gives up.
const maxChanges = 3

// make makes one kit. It reuses the parts that exist already. It returns the
// image's fingerprint even if the image cannot be booted. The fingerprint is ""
// if the image cannot be read, or keeps changing.
func (d *Depot) make(ctx context.Context, key Key) (*Kit, string, error) {
	for range maxChanges {
		kit, fingerprint, err := d.makeOnce(ctx, key)
		if !errors.Is(err, errChanged) {
			return kit, fingerprint, err
		}
		d.log.Warn("the image changed while it was packed; packing it again", "image", key)
	}
	return nil, "", fmt.Errorf("pack image %s: %w, %d times: change it in a copy, and rename that when it is done", key.Image, errChanged, maxChanges)
}

// errChanged says that a pack may mix two states of its image.
var errChanged = errors.New("it changed while it was packed")

// unchanged returns an error unless an image has a fingerprint still: errChanged, or why
// ctx ended, which says nothing about the image.
func unchanged(ctx context.Context, image *images.Image, fingerprint string) error {
	now, err := image.Fingerprint(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || now != fingerprint {
		return errors.Join(errChanged, err)
	}
	return nil
}

func (d *Depot) makeOnce(ctx context.Context, key Key) (*Kit, string, error) {
	image, err := d.open(ctx, key.Image)
	if err != nil {
		return nil, "", err
	}
	defer image.Close() // was only read
	fingerprint, err := image.Fingerprint(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("look at image %s: %w", key.Image, err)
	}
	p, err := d.makePack(ctx, image, fingerprint)
	if err != nil {
		return nil, fingerprint, fmt.Errorf("pack image %s: %w", key.Image, err)
	}
	kit := &Kit{Key: key, Manifest: image.Manifest, Pack: p.File, Entries: p.Entries, Bytes: p.Bytes}
	if err := d.complete(ctx, kit); err != nil {
		return nil, fingerprint, fmt.Errorf("prepare image %s: %w", key, err)
	}
	return kit, fingerprint, nil
}

// makePack packs an image without its volatile files, unless there is a pack
// already, here or on another server. If that pack cannot be read, because the disk
// damaged it or its format is old, makePack packs the image again.
func (d *Depot) makePack(ctx context.Context, image *images.Image, fingerprint string) (packed, error) {
	key := packForm + image.Path + " " + fingerprint
	file := func(p packed) File { return p.File }
	build := func() (packed, error) { return d.newPack(ctx, image, fingerprint) }
	p, err := memo(d, key, d.has, file, build)
	if err != nil {
		return p, err
	}
	if err = d.sound(ctx, p.File); err == nil || ctx.Err() != nil {
		d.offer(p)
		return p, err
	}
	d.log.Warn("a pack cannot be read any more; packing its image again", "image", image.Name)
	if err := os.Remove(d.record(key)); err != nil {
		return p, err
	}
	if p, err = memo(d, key, d.has, file, build); err == nil {
		d.offer(p)
	}
	return p, err
}

// newPack fetches the pack of an image from another server, or else packs the
// image.
func (d *Depot) newPack(ctx context.Context, image *images.Image, fingerprint string) (packed, error) {
	if d.peers == nil {
		return d.writePack(ctx, image, fingerprint)
	}
	want, err := packable(ctx, image)
	if err != nil {
		return packed{}, err
	}
	if p, fetched := d.fromPeers(ctx, image.Name, want); fetched {
		return p, unchanged(ctx, image, fingerprint)
	}
	p, err := d.writePack(ctx, image, fingerprint)
	p.Content = want.digest
	return p, err
}

// sound reads a whole pack and checks each digest, since disks can damage files
// and a damaged pack would make every install fail. It does so once in the life
// of the server.
func (d *Depot) sound(ctx context.Context, f File) error {
	d.mu.Lock()
	known := d.proven[f.Digest]
	d.mu.Unlock()
	if known {
		return nil
	}
	tree, file, err := openFile(f, d.Path(f.Digest)) // for itself, since it may be replaced
	if err != nil {
		return err
	}
	defer file.Close()
	err = tree.Walk(ctx, func(_ images.Entry, content io.Reader) error {
		if content == nil {
			return nil
		}
		_, err := io.Copy(io.Discard, content)
		return err
	})
	if err == nil {
		d.prove(f.Digest)
	}
	return err
}

// prove records that a file's content matches its digest.
func (d *Depot) prove(digest string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.proven[digest] = true
}

func (d *Depot) writePack(ctx context.Context, image *images.Image, fingerprint string) (packed, error) {
	d.log.Info("packing an image", "image", image.Name)
	var info pack.Info
	tree, err := image.Tree(ctx)
	if err != nil {
		return packed{}, err
	}
	files, volatile, err := target.CopyOf(image.Manifest, tree)
	if err != nil {
		return packed{}, err
	}
	f, err := d.put(func(w io.Writer) (digest string, err error) {
		info, err = pack.Write(ctx, w, files, pack.Options{Skip: volatile})
		return info.Digest, errors.Join(unchanged(ctx, image, fingerprint), err)
	})
	if err == nil {
		d.prove(f.Digest)
	}
	return packed{File: f, Entries: info.Entries, Bytes: info.Bytes}, err
}

// complete adds to a kit what is made from its pack: the description of the
// image, the kernel, the RAM disk and the boot loaders.
func (d *Depot) complete(ctx context.Context, kit *Kit) error {
	tree, done, err := d.OpenPack(kit.Pack)
	if err != nil {
		return err
	}
	defer done()
	if kit.Key.AsIs {
		return d.completeAsIs(kit, tree)
	}
	if kit.Image, err = examine(ctx, kit, tree); err != nil {
		return err
	}
	kernel := kit.Kernels[0]
	if kit.Kernel, err = d.makeKernel(kit, tree, kernel); err != nil {
		return err
	}
	if err := d.makeRAMDisk(ctx, kit, tree, kernel); err != nil {
		return err
	}
	if err := d.loadLoaders(ctx, kit, tree, kernel); err != nil {
		return err
	}
	if kit.Key.Live {
		if err := d.makeRoot(ctx, kit, tree, kernel); err != nil {
			return err
		}
	}
	if kit.Key.Server == "" {
		return nil
	}
	return d.makeUnified(ctx, kit, kernel)
}

// examine returns what the plan of a disk depends on, or an error that says why
// the image cannot be installed.
func examine(ctx context.Context, kit *Kit, tree *pack.Pack) (target.Image, error) {
	image, err := target.Look(ctx, target.System{Manifest: kit.Manifest, Source: tree, Tree: tree}, kit.Key.EntryPoint, true)
	if err != nil {
		return image, err
	}
	if err := errors.Join(image.Kernels[0].CheckVersion(), image.CheckInit()); err != nil {
		return image, err
	}
	image.RootSize, err = target.RootSize(ctx, tree, target.FirstRoom)
	return image, err
}

// makeKernel keeps the kernel in the form that boot loaders start.
func (d *Depot) makeKernel(kit *Kit, tree images.Tree, kernel boot.Kernel) (File, error) {
	key := kernelForm + kit.Pack.Digest + " " + kernel.Path
	return memo(d, key, d.intact, func(f File) File { return f }, func() (File, error) {
		return d.put(func(w io.Writer) (string, error) {
			r, err := boot.Startable(func() (io.ReadCloser, error) { return tree.Open(kernel.Path) })()
			if err != nil {
				return "", err
			}
			defer r.Close()
			_, err = io.Copy(w, r)
			return "", err
		})
	})
}

func (d *Depot) makeRAMDisk(ctx context.Context, kit *Kit, tree images.Tree, kernel boot.Kernel) error {
	agent, err := d.agentFor(kernel)
	if err != nil {
		return err
	}
	key := ramdiskForm + kit.Pack.Digest + " " + kernel.Version + " " + agent.digest
	if d.trust != nil {
		key += fmt.Sprintf(" %x", sha256.Sum256(d.trust))
	}
	made, err := memo(d, key, d.intact, func(a assembled) File { return a.File }, func() (assembled, error) {
		d.log.Info("assembling a RAM disk", "image", kit.Key, "kernel", kernel.Version)
		return d.writeRAMDisk(ctx, tree, kernel, agent)
	})
	if err != nil {
		return err
	}
	if lacks := made.Report.Lacks(); len(lacks) > 0 {
		return fmt.Errorf("kernel %s: %s", kernel.Version, strings.Join(lacks, "; "))
	}
	kit.RAMDisk, kit.Filesystems, kit.NotLive, kit.NotMirror = made.File, made.Report.Filesystems, made.Report.NotLive, made.Report.NotMirror
	return nil
}

func (d *Depot) writeRAMDisk(ctx context.Context, tree images.Tree, kernel boot.Kernel, agent agent) (assembled, error) {
	init, err := agent.Open()
	if err != nil {
		return assembled{}, fmt.Errorf("read the agent's program: %w", err)
	}
	defer init.Close()
	var files map[string][]byte
	if d.trust != nil {
		files = map[string][]byte{wire.TrustFile: d.trust}
	}
	var report ramdisk.Report
	f, err := d.put(func(w io.Writer) (_ string, err error) {
		hash := sha256.New()
		report, err = ramdisk.Build(ctx, w, tree, ramdisk.Options{
			Version: kernel.Version, Modules: kernel.Modules, Init: io.TeeReader(init, hash), InitSize: agent.Size, Files: files,
		})
		if err == nil && hex.EncodeToString(hash.Sum(nil)) != agent.digest {
			err = fmt.Errorf("the agent's program %s was replaced: restart the server", agent.Name)
		}
		return "", err
	})
	return assembled{File: f, Report: report}, err
}

// loadLoaders keeps the boot loaders for the disk. It takes a loader from the
// image if the assets folder does not have it.
func (d *Depot) loadLoaders(ctx context.Context, kit *Kit, tree images.Tree, kernel boot.Kernel) error {
	arch := bootloader.AMD64
	if kernel.Arch == string(bootloader.ARM64) {
		arch = bootloader.ARM64
	}
	assets := d.assets
	assets.Tree = tree
	kit.Loaders = map[string]File{}
	if err := d.keepLoaders(ctx, kit, assets, bootloader.LoaderNames(arch)); err != nil {
		return err
	}
	// Most sites need neither of these, so they may be missing.
	kit.NoStub = d.keepLoaders(ctx, kit, assets, bootloader.SecureBoot{Signer: uki.Signatures{}}.LoaderNames(arch))
	kit.Signed = d.keepLoaders(ctx, kit, assets, bootloader.SecureBoot{Shim: true}.LoaderNames(arch))
	return ctx.Err()
}

// keepLoaders adds the named boot loaders to a kit.
func (d *Depot) keepLoaders(ctx context.Context, kit *Kit, assets bootloader.Assets, names []string) error {
	names = slices.DeleteFunc(names, func(name string) bool { _, kept := kit.Loaders[name]; return kept })
	loaders, err := assets.LoadNamed(ctx, names...)
	if err != nil {
		return err
	}
	for name, data := range loaders {
		f, err := d.put(func(w io.Writer) (string, error) {
			_, err := w.Write(data)
			return "", err
		})
		if err != nil {
			return errors.Join(fmt.Errorf("keep the boot loader %s", name), err)
		}
		kit.Loaders[name] = f
	}
	return nil
}
