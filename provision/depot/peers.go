package depot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cloudlets/images/atomicfile"
	"cloudlets/images/pack"
)

// These bound how long other servers may take. Packing is what comes after them.
const (
	// askTime is for the answer whether a server has a pack.
	askTime = 5 * time.Second
	// stallTime is how long a server may send nothing, and graceTime how long it
	// is tried again after that.
	stallTime = 10 * time.Second
	graceTime = 20 * time.Second
	// fetchTime is how long a fetch may take besides the time for its bytes, and
	// slowest how many bytes a second must come. Packing is quicker than that.
	fetchTime = time.Minute
	slowest   = 2 << 20
)

// patience is how long other servers may take.
type patience struct{ ask, stall, grace, fetch time.Duration }

// maxOffer is the length in bytes of the longest answer about a pack.
const maxOffer = 1 << 10

// OfferPath is the path under which a server says which pack it has of a content:
// the digest of the content follows, without "sha256:". The answer is a [pack.Ref]
// in JSON.
const OfferPath = "/packs/"

// FilePath is the path under which a server serves a file of its depot. The digest
// identifies the file; the name after it is for people.
func FilePath(digest, name string) string {
	return "/files/" + strings.TrimPrefix(digest, "sha256:") + "/" + name
}

// Offer returns the pack that this depot has of a content, if it has one.
func (d *Depot) Offer(content string) (pack.Ref, bool) {
	d.mu.Lock()
	f, known := d.offers[content]
	d.mu.Unlock()
	return pack.Ref{Digest: f.Digest, Size: f.Size}, known && d.has(f)
}

// offer lets other servers have a pack, if its content is known.
func (d *Depot) offer(p packed) {
	if p.Content == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offers[p.Content] = p.File
}

// fromPeers fetches a pack of a content from the first other server that has one.
// It returns false if none has, or what came cannot be used; the log says why.
func (d *Depot) fromPeers(ctx context.Context, image string, want content) (packed, bool) {
	for _, peer := range d.peers() {
		ref, err := d.ask(ctx, peer, want)
		if err == nil {
			var p packed
			if p, err = d.fetch(ctx, peer, ref, want); err == nil {
				d.log.Info("fetched a pack from another server", "image", image, "server", peer)
				return p, true
			}
		}
		if ctx.Err() != nil {
			return packed{}, false
		}
		if !errors.Is(err, errNoOffer) {
			d.log.Warn("another server's pack cannot be had; if no further server has it, the image is packed here", "image", image, "server", peer, "error", err)
		}
	}
	return packed{}, false
}

// errNoOffer says that a server does not have a pack.
var errNoOffer = errors.New("it has no such pack")

// ask asks a server for its pack of a content.
func (d *Depot) ask(ctx context.Context, peer string, want content) (ref pack.Ref, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.patience.ask)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, peer+OfferPath+strings.TrimPrefix(want.digest, "sha256:"), nil)
	if err != nil {
		return ref, fmt.Errorf("ask for a pack: %w", err)
	}
	answer, err := d.client.Do(r)
	if err != nil {
		return ref, fmt.Errorf("ask for a pack: %w", err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return ref, errNoOffer
	default:
		return ref, fmt.Errorf("ask for a pack: %s", answer.Status)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxOffer)).Decode(&ref); err != nil {
		return ref, fmt.Errorf("ask for a pack: %w", err)
	}
	if !isDigest(ref.Digest) || ref.Size <= 0 || ref.Size > want.maxPack() {
		return ref, fmt.Errorf("ask for a pack: one with digest %.80q and %d bytes cannot have the content of this server's copy, whose pack has at most %d bytes", ref.Digest, ref.Size, want.maxPack())
	}
	return ref, nil
}

// fetch keeps a pack of another server. The file gets its name when all of it was
// read and found to have the wanted content.
func (d *Depot) fetch(ctx context.Context, peer string, ref pack.Ref, want content) (p packed, err error) {
	p.File, p.Content = File{Digest: ref.Digest, Size: ref.Size}, want.digest
	if d.has(p.File) && d.sound(ctx, p.File) == nil {
		p.Entries, p.Bytes, err = d.compare(ctx, d.Path(ref.Digest), ref, want)
		return p, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.patience.fetch+time.Duration(ref.Size/slowest)*time.Second)
	defer cancel()
	temp, err := atomicfile.Create(filepath.Join(d.dir, "files"), 0o644)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, temp.Discard()) }()
	from := &pack.HTTP{
		URL: peer + FilePath(ref.Digest, "pack"), Client: d.client, Digest: ref.Digest,
		Retry: pack.Retry{Stall: d.patience.stall, Patience: d.patience.grace}, Logger: d.log,
	}
	body, err := from.Range(ctx, 0, ref.Size)
	if err != nil {
		return p, fmt.Errorf("fetch pack %s: %w", ref.Digest, err)
	}
	defer body.Close()
	if _, err := io.Copy(&roomKeeper{w: temp, dir: d.dir, free: d.free}, body); err != nil {
		return p, fmt.Errorf("fetch pack %s: %w", ref.Digest, err)
	}
	if p.Entries, p.Bytes, err = d.compare(ctx, temp.Name(), ref, want); err != nil {
		return p, err
	}
	if err := errors.Join(temp.Chmod(0o644), temp.Commit(filepath.Base(d.Path(ref.Digest)))); err != nil {
		return p, fmt.Errorf("keep a pack in the depot: %w", err)
	}
	d.prove(ref.Digest)
	return p, nil
}

// compare reads a whole pack, whose chunks are verified on the way, and returns an
// error unless it has the wanted digest and content.
func (d *Depot) compare(ctx context.Context, file string, ref pack.Ref, want content) (entries int, bytes int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	tree, err := pack.Open(f, ref.Size)
	if err != nil {
		return 0, 0, err
	}
	if tree.Digest() != ref.Digest {
		return 0, 0, fmt.Errorf("fetch pack %s: what came is %s", ref.Digest, tree.Digest())
	}
	got, err := contentOf(ctx, tree)
	if err != nil {
		return 0, 0, fmt.Errorf("fetch pack %s: %w", ref.Digest, err)
	}
	if got.digest != want.digest {
		return 0, 0, fmt.Errorf("fetch pack %s: its content %s is not %s, which this server's copy of the image has", ref.Digest, got.digest, want.digest)
	}
	info := tree.Info()
	return info.Entries, info.Bytes, nil
}
