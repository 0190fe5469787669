package agent

import (
	"context"
	"fmt"
	"net/http"

	"cloudlets/images/disk"
	"cloudlets/images/pack"
	"cloudlets/provision/wire"
)

// download is a pack of the plan, with its table of contents.
type download struct {
	source pack.Ranger
	toc    *pack.TOC
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
	return nil
}

func (i *installer) open(ctx context.Context, blob wire.Blob) (download, error) {
	source := &pack.HTTP{
		URL: i.server.base + blob.Path, Client: i.HTTP, Digest: blob.Digest, Logger: i.Log,
		Header: http.Header{"Authorization": {"Bearer " + i.plan.Session}},
		Retry:  pack.Retry{Patience: patience},
	}
	toc, err := pack.Fetch(ctx, source, pack.Ref{Digest: blob.Digest, Size: blob.Size})
	return download{source: source, toc: toc}, err
}
