package agent

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"cloudlets/images/bytesize"
	"cloudlets/images/disk"
	"cloudlets/images/pack"
	"cloudlets/provision"
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
	i.loaders = disk.Loaders{}
	for name, blob := range i.plan.BootLoaders {
		if i.loaders[name], err = i.server.fetch(ctx, blob); err != nil {
			return fmt.Errorf("boot loader %s: %w", name, err)
		}
	}
	if i.second != nil {
		if i.ramdisk, err = i.server.fetch(ctx, i.plan.RAMDisk); err != nil {
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

func (i *installer) open(ctx context.Context, blob wire.Blob) (download, error) {
	source := &pack.HTTP{
		URL: i.server.base + blob.Path, Client: i.HTTP, Digest: blob.Digest, Logger: i.Log,
		Header: http.Header{"Authorization": {"Bearer " + i.plan.Session}},
		Retry:  pack.Retry{Patience: patience}, Resumed: i.resumed,
	}
	toc, tail, err := pack.FetchTail(ctx, source, pack.Ref{Digest: blob.Digest, Size: blob.Size})
	return download{source: source, toc: toc, tail: tail}, err
}
