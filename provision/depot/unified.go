package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"cloudlets/images/boot"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/uki"
	"cloudlets/images/disk/uki/signing"
	"cloudlets/images/lazyregexp"
	"cloudlets/provision/wire"
)

// unifiedForm is like packForm.
const unifiedForm = "unified 1 "

// errNoOwner says that the server has no key to sign with.
var errNoOwner = errors.New(`this server has no key of the machines' owner: name its files in cloudlets.json as "secureBootKey" and "secureBootCert", and restart the server`)

// Owner returns the key of the machines' owner, or why there is none.
func (d *Depot) Owner() (*signing.Key, error) {
	if d.owner == nil {
		return nil, errNoOwner
	}
	return d.owner()
}

// makeUnified makes and signs the program that has the kernel, the RAM disk and a
// command line in one. It is the same for all machines, so the command line has
// nothing but the image's own words, and where the agent asks for the rest.
func (d *Depot) makeUnified(ctx context.Context, kit *Kit, kernel boot.Kernel) error {
	if kit.NoStub != nil {
		return kit.NoStub
	}
	owner, err := d.Owner()
	if err != nil {
		return err
	}
	stub := kit.Loaders[bootloader.StubName(bootloader.Arch(kernel.Arch))]
	cmdline := boot.JoinWords(commonWords(kernel.Cmdline), wire.Params{Ask: kit.Key.Server}.Cmdline())
	key := unifiedForm + strings.Join([]string{stub.Digest, kit.Kernel.Digest, kit.RAMDisk.Digest, kernel.Version, kit.Title, owner.Fingerprint(), cmdline}, " ")
	kit.Unified, err = memo(d, key, d.intact, func(f File) File { return f }, func() (File, error) {
		d.log.Info("signing the kernel and the RAM disk of an image", "image", kit.Key, "key", owner.Name())
		return d.writeUnified(ctx, owner, stub, uki.Kernel{
			Linux: d.content(kit.Kernel), Initrd: d.content(kit.RAMDisk), Cmdline: cmdline, Title: kit.Title, Version: kernel.Version,
		})
	})
	if err != nil {
		return fmt.Errorf("make the signed program for UEFI HTTP Boot: %w", err)
	}
	return nil
}

func (d *Depot) writeUnified(ctx context.Context, owner *signing.Key, stub File, k uki.Kernel) (File, error) {
	start, err := os.ReadFile(d.Path(stub.Digest))
	if err != nil {
		return File{}, err
	}
	image, err := uki.New(start, k)
	if err != nil {
		return File{}, err
	}
	if image, err = owner.Sign(ctx, image); err != nil {
		return File{}, err
	}
	return d.put(func(w io.Writer) (string, error) {
		r, err := image.Open()
		if err != nil {
			return "", err
		}
		defer r.Close()
		_, err = io.Copy(w, r)
		return "", err
	})
}

// content is a file of the depot as part of a program.
func (d *Depot) content(f File) uki.File {
	return uki.File{Size: f.Size, Open: func() (io.ReadCloser, error) { return os.Open(d.Path(f.Digest)) }}
}

// ownValue is a machine's own value in a template, and templateWord a word as the kernel
// counts words: quotes hold one together, and so do the tags of a template.
var (
	ownValue     = lazyregexp.New(`<%=.*?%>`)
	templateWord = lazyregexp.New(`(?:<%=.*?%>|"(?:<%=.*?%>|[^"])*"|\S)+`)
)

// commonWords are the words of a template for a command line that are the same for
// all machines. A template with code may say anything, so nothing of it is.
func commonWords(template string) string {
	if strings.Contains(ownValue().ReplaceAllString(template, ""), "<%") {
		return ""
	}
	words := slices.DeleteFunc(templateWord().FindAllString(template, -1), ownValue().MatchString)
	return boot.JoinWords(strings.Join(words, " "))
}
