package depot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"cloudlets/images"
	"cloudlets/images/disk"
	"cloudlets/images/pack"
	"cloudlets/provision/ramdisk"
)

// agent is the program that becomes /init.
type agent struct {
	file   string
	digest string
	size   int64
}

func openAgent(file string) (agent, error) {
	f, err := os.Open(file)
	if err != nil {
		return agent{}, fmt.Errorf("read the agent's program: %w", err)
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err != nil {
		return agent{}, fmt.Errorf("read the agent's program: %w", err)
	}
	return agent{file: file, digest: hex.EncodeToString(hash.Sum(nil)), size: size}, nil
}

// packed is the record of a pack.
type packed struct {
	File
	Entries int   `json:"entries"`
	Bytes   int64 `json:"bytes"`
}

// assembled is the record of a RAM disk.
type assembled struct {
	File
	Report ramdisk.Report `json:"report"`
}

// make makes one kit, of what is not there already.
func (d *Depot) make(ctx context.Context, key Key) (*Kit, string, error) {
	image, err := d.open(ctx, key.Image)
	if err != nil {
		return nil, "", err
	}
	fingerprint, err := image.Fingerprint(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("look at image %s: %w", key.Image, err)
	}
	p, err := d.makePack(ctx, image, fingerprint)
	if err != nil {
		return nil, "", fmt.Errorf("pack image %s: %w", key.Image, err)
	}
	kit := &Kit{Key: key, Manifest: image.Manifest, Pack: p.File, Entries: p.Entries, Bytes: p.Bytes}
	if err := d.complete(ctx, kit); err != nil {
		return nil, "", fmt.Errorf("prepare image %s: %w", key, err)
	}
	d.sweep()
	return kit, fingerprint, nil
}

// makePack packs an image, its volatile files left out.
func (d *Depot) makePack(ctx context.Context, image *images.Image, fingerprint string) (packed, error) {
	key := "pack 1 " + image.Path + " " + fingerprint
	return memo(d, key, func(p packed) File { return p.File }, func() (packed, error) {
		d.log.Info("packing an image", "image", image.Name)
		var info pack.Info
		f, err := d.put(func(w io.Writer) (digest string, err error) {
			info, err = pack.Write(ctx, w, image.Source, pack.Options{Skip: image.Manifest.IsVolatile})
			return info.Digest, err
		})
		return packed{File: f, Entries: info.Entries, Bytes: info.Bytes}, err
	})
}

// complete takes what boots the image out of its pack.
func (d *Depot) complete(ctx context.Context, kit *Kit) error {
	tree, done, err := d.OpenPack(kit.Pack)
	if err != nil {
		return err
	}
	defer done()
	if kit.Kernels, err = kit.Manifest.Kernels(tree, kit.Key.EntryPoint); err != nil {
		return err
	}
	kernel := kit.Kernels[0]
	if err := kernel.Check(""); err != nil {
		return err
	}
	if kit.Init, err = findInit(tree); err != nil {
		return err
	}
	if kit.Kernel, err = d.makeKernel(kit, tree, kernel); err != nil {
		return err
	}
	if err := d.makeRAMDisk(ctx, kit, tree, kernel); err != nil {
		return err
	}
	return d.loadLoaders(ctx, kit, kernel)
}

// usualInits are where a system's first program is looked for, as the kernel
// itself does.
var usualInits = []string{"/sbin/init", "/etc/init", "/bin/init", "/bin/sh"}

func findInit(tree images.Tree) (string, error) {
	for _, name := range usualInits {
		if _, err := images.Resolve(tree, name); err == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("the image has none of %s: install an init system in it", strings.Join(usualInits, ", "))
}

func (d *Depot) makeKernel(kit *Kit, tree images.Tree, kernel images.Kernel) (File, error) {
	key := "kernel 1 " + kit.Pack.Digest + " " + kernel.Path
	return memo(d, key, func(f File) File { return f }, func() (File, error) {
		return d.put(func(w io.Writer) (string, error) {
			r, err := tree.Open(kernel.Path)
			if err != nil {
				return "", err
			}
			defer r.Close()
			_, err = io.Copy(w, r)
			return "", err
		})
	})
}

func (d *Depot) makeRAMDisk(ctx context.Context, kit *Kit, tree images.Tree, kernel images.Kernel) error {
	key := "ramdisk 1 " + kit.Pack.Digest + " " + kernel.Version + " " + d.agent.digest
	made, err := memo(d, key, func(a assembled) File { return a.File }, func() (assembled, error) {
		d.log.Info("assembling a RAM disk", "image", kit.Key, "kernel", kernel.Version)
		init, err := os.Open(d.agent.file)
		if err != nil {
			return assembled{}, err
		}
		defer init.Close()
		var report ramdisk.Report
		f, err := d.put(func(w io.Writer) (_ string, err error) {
			report, err = ramdisk.Build(ctx, w, tree, ramdisk.Options{Version: kernel.Version, Init: init, InitSize: d.agent.size})
			return "", err
		})
		return assembled{File: f, Report: report}, err
	})
	if err != nil {
		return err
	}
	if lacks := made.Report.Lacks(); len(lacks) > 0 {
		return fmt.Errorf("kernel %s: %s", kernel.Version, strings.Join(lacks, "; "))
	}
	kit.RAMDisk, kit.Filesystems = made.File, made.Report.Filesystems
	return nil
}

func (d *Depot) loadLoaders(ctx context.Context, kit *Kit, kernel images.Kernel) error {
	arch := disk.AMD64
	if kernel.Arch == string(disk.ARM64) {
		arch = disk.ARM64
	}
	loaders, err := d.assets.Load(ctx, arch)
	if err != nil {
		return err
	}
	kit.Loaders = map[string]File{}
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
