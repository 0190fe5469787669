package httpboot

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"strings"
	"time"

	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/requests"
	"cloudlets/provision"
)

// bootFiles is what TFTP serves: boot loaders, and what GRUB, U-Boot and the
// firmware of a Raspberry Pi ask for.
type bootFiles struct {
	*Chain
	own netip.Addr
}

// BootFiles returns the files for a TFTP server that machines reach at an address.
// What those three get depends on who asks, so they implement [cloudlets/tftp.Asked].
func (c *Chain) BootFiles(own netip.Addr) fs.FS { return bootFiles{c, own} }

// Open implements [fs.FS], for somebody who is at no address.
func (b bootFiles) Open(name string) (fs.File, error) {
	return b.OpenFor(context.Background(), netip.Addr{}, name)
}

// OpenFor implements [cloudlets/tftp.Asked].
func (b bootFiles) OpenFor(ctx context.Context, from netip.Addr, name string) (fs.File, error) {
	ctx = requests.ReachedAt(ctx, b.own)
	if dialect.IsGRUBStart(name) {
		return textFile(name, dialect.GRUB{TFTP: b.TFTP(b.own)}.Start()), nil
	}
	if rest, ok := strings.CutPrefix(name, dialect.GRUBMachines); ok {
		return b.machineFile(ctx, from, name, rest)
	}
	if name == dialect.UBootScript {
		return textFile(name, dialect.UBoot{}.Start()), nil
	}
	if rest, ok := strings.CutPrefix(name, dialect.UBootMachines); ok {
		return b.extlinuxFile(ctx, from, name, rest)
	}
	if mac, arch, ok := dialect.OwnDiskOf(name); ok {
		return b.ownDiskFile(ctx, mac, arch)
	}
	if digest, ok := dialect.DepotFile(name); ok {
		return b.depotFile(ctx, from, digest)
	}
	if folder, file, ok := dialect.SplitPiName(name); ok {
		return b.piFile(ctx, from, folder, file)
	}
	return b.Loaders.Open(name)
}

// machineFile returns a configuration that GRUB asks for with its MAC.
func (b bootFiles) machineFile(ctx context.Context, from netip.Addr, name, rest string) (fs.File, error) {
	dir, base := path.Split(rest)
	mac, err := provision.ParseMAC(strings.TrimSuffix(dir, "/"))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	switch base {
	case dialect.GRUBConfig:
		return textFile(name, b.tell(ctx, mac, from, dialect.GRUB{TFTP: b.TFTP(b.own)})), nil
	case dialect.GRUBFailed:
		return textFile(name, b.grubFailed(ctx, mac, from)), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// extlinuxFile returns a configuration that U-Boot asks for with its MAC. It asks for
// others too, by its UUID and address.
func (b bootFiles) extlinuxFile(ctx context.Context, from netip.Addr, name, rest string) (fs.File, error) {
	card, ethernet := strings.CutPrefix(rest, "01-")
	mac, err := provision.ParseMAC(card)
	if err != nil || !ethernet {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return textFile(name, b.tell(ctx, mac, from, dialect.UBoot{})), nil
}

// grubFailed records that GRUB could not load what it was told to, and lets the
// machine go.
func (c *Chain) grubFailed(ctx context.Context, mac provision.MAC, from netip.Addr) string {
	event := provision.Event{MAC: mac, Kind: provision.KindLog, Text: "GRUB could not load the kernel and its RAM disk", Reason: "the machine's screen says why"}
	spec := c.Spec(mac)
	if spec != nil && spec.SecureBoot == provision.ByShim {
		event.Reason += "; if it fetched the kernel, then Secure Boot refuses that: the image needs a kernel that Debian signed, as it came from its package"
	}
	if warning := c.Foreign(mac, from); warning != "" {
		event.Reason += "; " + warning
	}
	if spec != nil {
		c.Record(ctx, event)
	}
	return dialect.GRUB{TFTP: c.TFTP(requests.LocalAddr(ctx))}.Leave("GRUB could not load the kernel and its RAM disk; the reason is above")
}

// depotFile opens a file of the depot when it has its turn, which ends when the
// file is closed.
func (b bootFiles) depotFile(ctx context.Context, from netip.Addr, digest string) (fs.File, error) {
	f, err := os.Open(b.Depot.Path(digest))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	var done func()
	if err == nil {
		done, err = b.download(ctx, from, info.Size())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &turnFile{f, done}, nil
}

// turnFile is a file whose turn ends with it.
type turnFile struct {
	*os.File
	done func()
}

func (f *turnFile) Close() error {
	defer f.done()
	return f.File.Close()
}

// text is a file in memory.
type text struct {
	*bytes.Reader
	name string
}

func textFile(name, content string) fs.File { return text{bytes.NewReader([]byte(content)), name} }

func (t text) Stat() (fs.FileInfo, error) { return t, nil }
func (t text) Close() error               { return nil }
func (t text) Name() string               { return path.Base(t.name) }
func (t text) Mode() fs.FileMode          { return 0o444 }
func (t text) ModTime() time.Time         { return time.Time{} }
func (t text) IsDir() bool                { return false }
func (t text) Sys() any                   { return nil }
