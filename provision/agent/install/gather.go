package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"cloudlets/images/bytesize"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/pack"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/wire"
)

// download is a pack of the plan, with its table of contents.
type download struct {
	source pack.Ranger
	toc    *pack.TOC
	tail   []byte    // of the pack, with that table
	sums   pack.Sums // of what was written to the disk
}

// gather finds the mkfs, and fetches the boot loaders and the tables of
// contents of both packs. If one of these is missing, the install fails before
// anything is written.
func (i *installer) gather(ctx context.Context) error {
	var err error
	if i.maker, err = findMaker(i.plan.Target.Filesystem, i.Maker); err != nil {
		return err
	}
	if i.image, err = i.open(ctx, i.plan.Pack); err != nil {
		return fmt.Errorf("image %s: %w", i.plan.Image, err)
	}
	if i.overlay, err = i.open(ctx, i.plan.Overlay); err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	i.loaders = bootloader.Files{}
	for name, blob := range i.plan.BootLoaders {
		if i.loaders[name], err = i.server.Fetch(ctx, blob); err != nil {
			return fmt.Errorf("boot loader %s: %w", name, err)
		}
	}
	if i.second != nil {
		if i.ramdisk, err = i.fetchLarge(ctx, i.plan.RAMDisk); err != nil {
			return fmt.Errorf("the RAM disk that assembles the mirror: %w", err)
		}
	}
	return nil
}

// shortBreak is up to how long a download may break off without a word in the trace.
const shortBreak = 2 * time.Second

// resumed tells that a download goes on that had broken off.
func (i *installer) resumed(off int64, after time.Duration, cause error) {
	if after > shortBreak {
		i.tell(provision.Event{Kind: provision.KindLog, Reason: cause.Error(),
			Text: fmt.Sprintf("the download broke off at %s, and went on after %s", bytesize.Decimal(off), after.Round(time.Second))})
	}
}

// open reads the table of contents of a pack.
func (i *installer) open(ctx context.Context, blob wire.Blob) (download, error) {
	source := i.source(blob)
	toc, tail, err := pack.FetchTail(ctx, source, pack.Ref{Digest: blob.Digest, Size: blob.Size})
	return download{source: source, toc: toc, tail: tail}, err
}

// source reads ranges of a blob. It goes on where a connection broke off.
func (i *installer) source(blob wire.Blob) *pack.HTTP {
	return &pack.HTTP{
		URL: i.server.Base + blob.Path, Client: i.HTTP, Digest: blob.Digest, Logger: i.Log,
		Header: http.Header{"Authorization": {"Bearer " + i.plan.Session}},
		Retry:  pack.Retry{Patience: client.Patience}, Resumed: i.resumed,
	}
}

// maxLarge is the size of the largest file that is read into memory, in bytes.
const maxLarge = 256 << 20

// fetchLarge reads a blob of up to maxLarge bytes into memory and checks its digest. It may
// take any time, as long as bytes come. A blob that is damaged is fetched again.
func (i *installer) fetchLarge(ctx context.Context, blob wire.Blob) ([]byte, error) {
	if blob.Size < 0 || blob.Size > maxLarge {
		return nil, fmt.Errorf("fetch %s: it has %d bytes, and at most %s are read into memory", blob.Path, blob.Size, bytesize.Binary(maxLarge))
	}
	data, got := make([]byte, blob.Size), ""
	for range client.MaxDamaged {
		body, err := i.source(blob).Range(ctx, 0, blob.Size)
		if err != nil {
			return nil, fmt.Errorf("fetch %s: %w", blob.Path, err)
		}
		_, err = io.ReadFull(body, data)
		if err := errors.Join(err, body.Close()); err != nil {
			return nil, fmt.Errorf("fetch %s: %w", blob.Path, err)
		}
		sum := sha256.Sum256(data)
		if got = "sha256:" + hex.EncodeToString(sum[:]); got == blob.Digest {
			return data, nil
		}
		i.Log.Warn("a file came damaged", "file", blob.Path, "digest", got, "want", blob.Digest)
	}
	return nil, fmt.Errorf("fetch %s: its digest is %s and should be %s, %d times: the file, or a cache or a line on its way, is broken", blob.Path, got, blob.Digest, client.MaxDamaged)
}
