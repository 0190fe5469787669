// Package registry brings images from container registries and takes them
// there, by the OCI Distribution Specification.
//
// [Open] fetches a container image. Its layers are kept in a folder of the
// user's cache, so that none is fetched twice, and a download that was broken
// off goes on where it broke. [Push] makes a container image of a cloudlet.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Scheme begins a name that can mean nothing but an image in a registry, e.g.
// "docker://debian:12".
const Scheme = "docker://"

// Options say how to speak to a registry. The zero value works.
type Options struct {
	// Insecure also allows plain HTTP to other hosts than this one.
	Insecure bool
	// Progress is called with the number of bytes done and the number of all
	// bytes, if it is not nil. It is called by one goroutine at a time.
	Progress func(done, total int64)
	// CacheDir keeps layers; "" means "cloudlets/layers" in
	// [os.UserCacheDir].
	CacheDir string
	// Keys has the credentials; nil means those of docker's or podman's
	// configuration, and its credential helpers.
	Keys authn.Keychain
	// StallTime is how long a download may bring nothing before it is tried
	// again; 0 means one minute.
	StallTime time.Duration
}

// IsName reports whether a name is that of an image in a registry. It begins
// with [Scheme], or with the name of a host: "registry.example/web:1",
// "localhost:5000/web". As docker has it, a host has a dot or a port, or is
// localhost.
func IsName(text string) bool {
	if strings.HasPrefix(text, Scheme) {
		return true
	}
	host, rest, ok := strings.Cut(text, "/")
	if !ok || host == "" || rest == "" || strings.HasPrefix(host, ".") {
		return false
	}
	if !strings.ContainsAny(host, ".:") && host != "localhost" {
		return false
	}
	_, err := name.ParseReference(text)
	return err == nil
}

// parse reads the name of an image in a registry.
func parse(text string, opt Options) (name.Reference, error) {
	var how []name.Option
	if opt.Insecure {
		how = append(how, name.Insecure)
	}
	ref, err := name.ParseReference(strings.TrimPrefix(text, Scheme), how...)
	if err != nil {
		return nil, fmt.Errorf("%s is not the name of an image in a registry: write HOST/NAME:TAG, such as registry.example.net/web:1: %w", text, err)
	}
	return ref, nil
}

// login proves to a registry who the user is, and returns what does requests
// in that name. action is [transport.PullScope] or [transport.PushScope].
func login(ctx context.Context, repo name.Repository, action string, opt Options) (http.RoundTripper, error) {
	keys := opt.Keys
	if keys == nil {
		keys = authn.DefaultKeychain
	}
	auth, err := authn.Resolve(ctx, keys, repo)
	if err != nil {
		return nil, fmt.Errorf("find the credentials for %s: %w", repo.RegistryStr(), err)
	}
	base := transport.NewRetry(guard{newTransport(), opt.Insecure})
	return transport.NewWithContext(ctx, repo.Registry, auth, base, []string{repo.Scope(action)})
}

const (
	// dialTime bounds how long a connection is tried.
	dialTime = 15 * time.Second
	// headerTime bounds how long a registry may think about a request.
	headerTime = time.Minute
	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 1 << 20
)

// newTransport returns a transport whose connections end with the program.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTime}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    dialTime,
		ResponseHeaderTimeout:  headerTime,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        dialTime,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// errPlain means that a registry would get or send an image without TLS.
var errPlain = errors.New("plain HTTP is refused, because anybody on the way could change the image; --insecure allows it")

// guard refuses plain HTTP to other hosts than this one.
type guard struct {
	inner    http.RoundTripper
	insecure bool
}

// RoundTrip does a request, unless it is refused.
func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && !g.insecure && !isLoopback(r.URL.Hostname()) {
		return nil, errPlain
	}
	return g.inner.RoundTrip(r)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// maxRedirects is the maximum number of redirects of one request.
const maxRedirects = 10

// checkRedirect follows a redirect, unless it leads to a private address that
// is not the registry's own. A registry could reach services by it that only
// this computer can reach.
func checkRedirect(to *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("there are more than %d redirects", maxRedirects)
	}
	host := to.URL.Hostname()
	addr, err := netip.ParseAddr(host)
	if err != nil || host == via[0].URL.Hostname() {
		return nil
	}
	if addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsUnspecified() {
		return fmt.Errorf("it redirects to the private address %s, which is refused", addr)
	}
	return nil
}

// explain says what to do about the errors that users meet most.
func explain(err error) error {
	failed, ok := errors.AsType[*transport.Error](err)
	switch {
	case errors.Is(err, errPlain): // what else was tried tells nothing more
		return errPlain
	case !ok:
		return err
	case failed.StatusCode == http.StatusUnauthorized || failed.StatusCode == http.StatusForbidden:
		return fmt.Errorf("the registry refuses it; check the name, and log in with \"docker login\" or \"podman login\": %w", err)
	case failed.StatusCode == http.StatusNotFound:
		return fmt.Errorf("the registry does not have it; check the name and the tag: %w", err)
	}
	return err
}
