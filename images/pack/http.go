package pack

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"cloudlets/images/pause"
	"cloudlets/images/retryafter"
)

// HTTP reads a pack from a web server by Range requests (RFC 9110, section 14).
// If a connection breaks or stalls, HTTP reconnects and continues at the same
// byte, as long as Retry allows. If the server gives an answer that will not
// change, it fails at once.
type HTTP struct {
	URL string
	// Client is the client to use; nil means http.DefaultClient. It needs no
	// timeout, because HTTP detects stalls itself.
	Client *http.Client
	// Header is sent with every request.
	Header http.Header
	// Digest is the digest of the pack, or "". If the ETag of an answer is a
	// digest, it must be this one.
	Digest string
	Retry  Retry
	Logger *slog.Logger // nil is silent
	// Resumed is called when bytes come again after a connection broke off: at which
	// byte, how long ago the last one had come, and why. It may be nil, and may be
	// called by several goroutines.
	Resumed func(off int64, after time.Duration, cause error)

	mu   sync.Mutex
	etag string // of the first answer; all others must agree
}

// Retry says how long to wait for a server that does not answer. A zero field
// has its default.
type Retry struct {
	// Patience is how long to retry without receiving a byte. The default of 5
	// minutes is enough for a server to restart.
	Patience time.Duration
	// Stall is how long a connection may be silent before it counts as broken.
	// The default is 20 seconds.
	Stall time.Duration
	// Wait is the first pause between attempts, by default 100 milliseconds.
	// Each pause is twice as long as the one before, up to MaxWait, by default
	// 5 seconds. A server that says Retry-After is asked when it wants to be, see
	// [retryafter].
	Wait, MaxWait time.Duration
}

func (r Retry) withDefaults() Retry {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&r.Patience, 5*time.Minute)
	set(&r.Stall, 20*time.Second)
	set(&r.Wait, 100*time.Millisecond)
	set(&r.MaxWait, 5*time.Second)
	return r
}

// pause returns how long to wait before attempt n. It is partly random, so that
// the machines of a rack do not all come back at the same time.
func (r Retry) pause(n int) time.Duration {
	d := r.MaxWait
	if n < 16 {
		d = min(d, r.Wait<<n)
	}
	return d/2 + rand.N(d/2+1)
}

// busyError is an error of a server that wants the client to stay away for a while.
type busyError struct {
	error
	after time.Duration
}

func (e busyError) Unwrap() error { return e.error }

// finalError is an error that retrying cannot fix.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

func final(format string, args ...any) error {
	return finalError{fmt.Errorf(format, args...)}
}

// Range implements [Ranger].
func (h *HTTP) Range(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	r := &httpReader{h: h, ctx: ctx, retry: h.Retry.withDefaults(), off: off, end: off + n}
	r.moved = time.Now()
	if n == 0 {
		return r, nil
	}
	if err := r.connect(); err != nil {
		return nil, err
	}
	return r, nil
}

// httpReader reads a range over as many connections as necessary.
type httpReader struct {
	h        *HTTP
	ctx      context.Context
	retry    Retry
	off, end int64
	body     io.ReadCloser
	cancel   context.CancelFunc
	moved    time.Time // when the last byte came
	tries    int       // since then
	broke    error     // why the first of them was necessary
}

// Read implements io.Reader.
func (r *httpReader) Read(p []byte) (int, error) {
	for {
		if r.off == r.end {
			return 0, io.EOF
		}
		if r.body == nil {
			if err := r.connect(); err != nil {
				return 0, err
			}
		}
		n, err := r.readBody(p)
		r.off += int64(n)
		if err != nil && r.off < r.end {
			r.drop()
			if n == 0 {
				if err := r.wait(err); err != nil {
					return 0, err
				}
			}
		}
		if n > 0 {
			r.resume(r.off - int64(n))
			r.moved, r.tries, r.broke = time.Now(), 0, nil
			return n, nil
		}
	}
}

// resume tells that bytes come again from off on, if none could be had meanwhile.
func (r *httpReader) resume(off int64) {
	if r.broke != nil && r.h.Resumed != nil {
		r.h.Resumed(off, time.Since(r.moved), r.broke)
	}
}

// readBody reads from the current connection, and closes it if it is silent for
// too long.
func (r *httpReader) readBody(p []byte) (int, error) {
	watch := time.AfterFunc(r.retry.Stall, r.cancel)
	defer watch.Stop()
	return r.body.Read(p[:min(int64(len(p)), r.end-r.off)])
}

// connect requests the rest of the range until the server answers.
func (r *httpReader) connect() error {
	for {
		err := r.request()
		if err == nil {
			return nil
		}
		if err := r.wait(err); err != nil {
			return err
		}
	}
}

// wait pauses before the next attempt. It returns an error if there must not be
// one.
func (r *httpReader) wait(cause error) error {
	if err := r.ctx.Err(); err != nil {
		return fmt.Errorf("get %s: %w", r.h.URL, context.Cause(r.ctx))
	}
	if fe := (finalError{}); errors.As(cause, &fe) {
		return fmt.Errorf("get %s: %w", r.h.URL, cause)
	}
	silent := time.Since(r.moved)
	if silent > r.retry.Patience {
		return fmt.Errorf("get %s: nothing arrived for %s, so it gave up at byte %d: %w", r.h.URL, silent.Round(time.Second), r.off, cause)
	}
	d := r.retry.pause(r.tries)
	if busy, is := errors.AsType[busyError](cause); is { // but ask once more before patience ends
		d = max(d, min(retryafter.Spread(busy.after), r.retry.Patience-silent))
	}
	r.tries++
	if r.broke == nil {
		r.broke = cause
	}
	if r.h.Logger != nil {
		r.h.Logger.Warn("connection lost, trying again", "url", r.h.URL, "offset", r.off, "try", r.tries, "wait", d, "err", cause)
	}
	if pause.For(r.ctx, d) != nil {
		return fmt.Errorf("get %s: %w", r.h.URL, context.Cause(r.ctx))
	}
	return nil
}

// request sends one request and checks the answer.
func (r *httpReader) request() error {
	ctx, cancel := context.WithCancel(r.ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.h.URL, nil)
	if err != nil {
		cancel()
		return finalError{err}
	}
	if s := req.URL.Scheme; s != "http" && s != "https" {
		cancel()
		return final("%q is not an http or https address", r.h.URL)
	}
	if r.h.Header != nil {
		req.Header = r.h.Header.Clone()
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", r.off, r.end-1))
	watch := time.AfterFunc(r.retry.Stall, cancel)
	defer watch.Stop()
	resp, err := r.h.client().Do(req)
	if err == nil {
		if err = r.h.check(resp, r.off, r.end); err != nil {
			resp.Body.Close()
		}
	}
	if bad := (*tls.CertificateVerificationError)(nil); errors.As(err, &bad) {
		err = finalError{err}
	}
	if err != nil {
		cancel()
		return err
	}
	r.body, r.cancel = resp.Body, cancel
	return nil
}

func (r *httpReader) drop() {
	if r.body != nil {
		r.body.Close()
		r.cancel()
		r.body = nil
	}
}

// Close implements io.Closer.
func (r *httpReader) Close() error {
	r.drop()
	return nil
}

func (h *HTTP) client() *http.Client {
	if h.Client != nil {
		return h.Client
	}
	return http.DefaultClient
}

// sentence returns the text of a server's refusal, in the form ": text".
func sentence(body io.Reader) string {
	text, err := io.ReadAll(io.LimitReader(body, 512))
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return ""
	}
	return ": " + strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, string(bytes.TrimSpace(text)))
}

// check returns an error unless the answer is the range from off to end of our
// pack.
func (h *HTTP) check(resp *http.Response, off, end int64) error {
	switch code := resp.StatusCode; {
	case code == http.StatusPartialContent:
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		err := fmt.Errorf("the server answers %s", resp.Status)
		if after := retryafter.Of(resp.Header); after > 0 {
			return busyError{err, after}
		}
		return err
	case code == http.StatusOK:
		return final("the server, or a proxy before it, does not serve ranges: it answers %s", resp.Status)
	case code == http.StatusRequestedRangeNotSatisfiable:
		return final("the pack is shorter than %d bytes: it is truncated, or it is another pack (%s)", end, resp.Status)
	default:
		return final("the server answers %s%s", resp.Status, sentence(resp.Body))
	}
	var from, to int64
	cr := resp.Header.Get("Content-Range")
	if _, err := fmt.Sscanf(cr, "bytes %d-%d/", &from, &to); err != nil || from != off {
		return final("asked for bytes %d-%d, got Content-Range %q", off, end-1, cr)
	}
	if to != end-1 {
		return final("asked for bytes %d-%d, got %q: the pack is truncated, or a proxy shortens ranges", off, end-1, cr)
	}
	return h.checkETag(resp.Header.Get("ETag"))
}

// checkETag returns an error if the answer comes from another pack. An ETag
// that is not a digest does not identify the pack, but it must not change.
func (h *HTTP) checkETag(etag string) error {
	tag := strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
	if strings.HasPrefix(tag, digestPrefix) && h.Digest != "" && tag != h.Digest {
		return final("the server has pack %s instead of %s", tag, h.Digest)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.etag == "" {
		h.etag = etag
	}
	if etag != "" && etag != h.etag {
		return final("the pack on the server was replaced: its ETag was %s and is %s", h.etag, etag)
	}
	return nil
}
