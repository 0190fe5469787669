package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"cloudlets/images/bounded"
	"cloudlets/images/pause"
	"cloudlets/images/tarball"
)

const (
	// maxAtOnce is how many layers are fetched at once.
	maxAtOnce = 4
	// maxTries is how often a layer is asked for that brings next to nothing.
	maxTries = 5
	// progressSize is how many bytes a try must bring not to count, in bytes.
	progressSize = 1 << 20
	// defaultStall is how long a download may bring nothing.
	defaultStall = time.Minute
	// firstPause is how long to wait before the second try; it doubles each time.
	firstPause = 250 * time.Millisecond
)

// fetchLayers gets all layers of the image from the cache or the registry.
func (b *bundle) fetchLayers(ctx context.Context, max int64, opt Options) error {
	if max <= 0 {
		max = tarball.DefaultMaxSize
	}
	all, total, err := b.wanted(max)
	if err != nil {
		return err
	}
	cache := openCache(opt.CacheDir)
	count := newTally(total, opt.Progress)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAtOnce)
	for _, d := range all {
		g.Go(func() error {
			f, err := b.fetchLayer(ctx, cache, d, count, cmp.Or(opt.StallTime, defaultStall))
			if err != nil {
				return fmt.Errorf("layer %s: %w", d.Digest, err)
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			b.files[fileName(d.Digest)] = f
			return nil
		})
	}
	return errors.Join(g.Wait(), cache.sweep())
}

// fetchLayer returns a file that has a layer.
func (b *bundle) fetchLayer(ctx context.Context, c cache, d v1.Descriptor, count *tally, stall time.Duration) (*os.File, error) {
	if d.Digest.Algorithm != "sha256" {
		return nil, fmt.Errorf("its digest uses %q, but only sha256 is supported", d.Digest.Algorithm)
	}
	f, err := c.open(ctx, d)
	if err != nil || f != nil {
		count.add(d.Size)
		return f, err
	}
	if f, err = c.part(d); err != nil {
		return nil, err
	}
	l := &download{bundle: b, layer: d, to: f, count: count, stall: stall}
	if err := l.run(ctx); err != nil {
		if errors.Is(err, errDigest) { // going on from these bytes would fail again
			c.drop(d)
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, c.keep(d)
}

// download is a layer on its way into a file. Two programs may write one file
// at the same time, as both write the same bytes to the same places.
type download struct {
	*bundle
	layer v1.Descriptor
	to    *os.File
	at    int64 // how many bytes are there
	sum   hash.Hash
	count *tally
	stall time.Duration
}

// errDigest means that a registry has something else than it says.
var errDigest = errors.New("what the registry sent does not have the digest that it promised; try again, or push the image again")

// run continues with what the file has. If that was no part of the layer, run
// begins once more.
func (l *download) run(ctx context.Context) error {
	if err := l.resume(ctx); err != nil {
		return err
	}
	for resumed := l.at > 0; ; resumed = false {
		if err := l.finish(ctx); err != nil {
			return err
		}
		if hex.EncodeToString(l.sum.Sum(nil)) == l.layer.Digest.Hex {
			return nil
		}
		if !resumed {
			return errDigest
		}
		l.restart()
	}
}

// finish fetches what is missing, with as many requests as it takes.
func (l *download) finish(ctx context.Context) error {
	for tries := 0; l.at < l.layer.Size; {
		before := l.at
		err := l.try(ctx)
		if err == nil {
			continue
		}
		if tries++; l.at-before >= progressSize {
			tries = 1
		}
		if ctx.Err() != nil || tries >= maxTries || !mayHelp(err) {
			return cmp.Or(ctx.Err(), err)
		}
		if err := pause.For(ctx, firstPause<<(tries-1)); err != nil {
			return err
		}
	}
	return nil
}

// resume hashes what an earlier download has left.
func (l *download) resume(ctx context.Context) error {
	l.sum = sha256.New()
	have := io.NewSectionReader(l.to, 0, l.layer.Size)
	var err error
	l.at, err = io.Copy(l.sum, bounded.ByContext(ctx, have))
	l.count.add(l.at)
	return err
}

// restart begins from the first byte.
func (l *download) restart() {
	l.count.add(-l.at)
	l.at = 0
	l.sum.Reset()
}

// try makes one request for what is missing.
func (l *download) try(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(l.stall, func() { cancel(fmt.Errorf("nothing came for %s", l.stall)) })
	defer timer.Stop()
	body, err := l.get(ctx, l.layer.Digest, l.at)
	if errors.Is(err, errNoRange) {
		l.restart()
		body, err = l.get(ctx, l.layer.Digest, 0)
	}
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	defer body.Close()
	buffer := make([]byte, 256<<10)
	for l.at < l.layer.Size {
		n, err := body.Read(buffer[:min(int64(len(buffer)), l.layer.Size-l.at)])
		timer.Reset(l.stall)
		if failed := l.write(buffer[:n]); failed != nil {
			return failed
		}
		if err != nil && l.at < l.layer.Size {
			return errors.Join(fmt.Errorf("it broke off after %d of %d bytes: %w", l.at, l.layer.Size, bounded.NoEOF(err)), context.Cause(ctx))
		}
	}
	return nil
}

// errWrite means that a layer cannot be kept.
type errWrite struct{ error }

func (l *download) write(p []byte) error {
	if _, err := l.to.WriteAt(p, l.at); err != nil {
		return errWrite{err}
	}
	l.sum.Write(p)
	l.at += int64(len(p))
	l.count.add(int64(len(p)))
	return nil
}

// mayHelp reports whether another try may help against an error.
func mayHelp(err error) bool {
	if failed, ok := errors.AsType[*transport.Error](err); ok {
		return failed.Temporary()
	}
	_, full := errors.AsType[errWrite](err)
	return !full && !errors.Is(err, errPlain)
}

// errNoRange means that a registry sends a blob only from its beginning.
var errNoRange = errors.New("the registry does not send parts of a layer")

// get asks for a blob from an offset in bytes on (RFC 9110, section 14.2).
func (b *bundle) get(ctx context.Context, digest v1.Hash, from int64) (io.ReadCloser, error) {
	url := fmt.Sprintf("%s://%s/v2/%s/blobs/%s", b.repo.Scheme(), b.repo.RegistryStr(), b.repo.RepositoryStr(), digest)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	want := http.StatusOK
	if from > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		want = http.StatusPartialContent
	}
	answer, err := b.client.Do(r)
	if err != nil {
		return nil, err
	}
	var begins int64
	switch {
	case from > 0 && (answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusRequestedRangeNotSatisfiable):
		err = errNoRange
	case from > 0 && answer.StatusCode == want:
		if _, bad := fmt.Sscanf(answer.Header.Get("Content-Range"), "bytes %d-", &begins); bad != nil || begins != from {
			err = errNoRange
		}
	default:
		err = transport.CheckError(answer, want)
	}
	if err != nil {
		return nil, errors.Join(err, answer.Body.Close())
	}
	return answer.Body, nil
}

// tally counts the bytes of several layers.
type tally struct {
	mu          sync.Mutex
	done, total int64
	tell        func(done, total int64)
}

func newTally(total int64, tell func(done, total int64)) *tally {
	if tell == nil {
		tell = func(int64, int64) {}
	}
	t := &tally{total: total, tell: tell}
	t.add(0)
	return t
}

func (t *tally) add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done += n
	t.tell(t.done, t.total)
}
