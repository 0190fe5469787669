//go:build linux

package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/imagetest"
	"cloudlets/images/oci"
	testregistry "cloudlets/testdata/registry"
)

func TestIsName(t *testing.T) {
	for text, want := range map[string]bool{
		"registry.example.net/web": true, "registry.example.net/a/web:1": true, "localhost/web": true, "localhost:5000/web:1": true, "[::1]:5000/web": true,
		"docker://debian": true, "docker://debian:12": true, "10.0.0.1/web@sha256:" + strings.Repeat("a", 64): true,
		"web": false, "web:1": false, "web.tar": false, "images/web": false, "./web": false, "../web": false, "/srv/web": false, ".x/web": false, "web.d/": false, "/": false, "": false,
		"some.folder/With Space": false,
	} {
		if got := IsName(text); got != want {
			t.Errorf("%q is a name in a registry: %t", text, got)
		}
	}
}

// TestLogin has the password in docker's configuration, and from a credential
// helper.
func TestLogin(t *testing.T) {
	addr := testregistry.Start(t, true)
	im := cloudlet(t, 10)
	home := t.TempDir()
	t.Setenv("DOCKER_CONFIG", home)
	t.Setenv("XDG_RUNTIME_DIR", home)
	t.Setenv("PATH", home+":"+os.Getenv("PATH"))
	helper := fmt.Sprintf("#!/bin/sh\necho '{\"ServerURL\": %q, \"Username\": %q, \"Secret\": %q}'\n", addr, testregistry.User, testregistry.Password)
	imagetest.Must(t, os.WriteFile(filepath.Join(home, "docker-credential-test"), []byte(helper), 0o755))
	auth := func(password string) string {
		return fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, addr, base64.StdEncoding.EncodeToString([]byte(testregistry.User+":"+password)))
	}
	for name, c := range map[string]struct {
		config string
		works  bool
	}{
		"nothing": {"{}", false}, "a wrong password": {auth("wrong"), false}, "a password": {auth(testregistry.Password), true},
		"a helper": {fmt.Sprintf(`{"credHelpers": {%q: "test"}}`, addr), true},
	} {
		imagetest.Must(t, os.WriteFile(filepath.Join(home, "config.json"), []byte(c.config), 0o600))
		_, err := Push(t.Context(), im, addr+"/web:1", "", Options{})
		if err == nil {
			var back *oci.Image
			if back, err = Open(t.Context(), addr+"/web:1", oci.Options{}, Options{CacheDir: t.TempDir()}); err == nil {
				imagetest.Must(t, back.Close())
			}
		}
		if c.works != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if !c.works && (err == nil || !strings.Contains(err.Error(), "log in")) {
			t.Errorf("%s: %v; want to be told to log in", name, err)
		}
		if err != nil && strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte(testregistry.User+":wrong"))) {
			t.Errorf("%s: the password is in the error", name)
		}
	}
}

// TestAbsent says that the registry does not have it.
func TestAbsent(t *testing.T) {
	addr := testregistry.Start(t, false)
	_, err := Open(t.Context(), addr+"/none:1", oci.Options{}, Options{CacheDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "does not have it") {
		t.Errorf("error %v", err)
	}
}

// answering answers every request.
type answering struct{}

func (answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

// TestPlainHTTP is for this computer, or by a person's word.
func TestPlainHTTP(t *testing.T) {
	for text, want := range map[string]bool{
		"http://127.0.0.1:5000/v2/": true, "http://localhost:5000/": true, "http://[::1]/": true, "https://registry.example.net/": true,
		"http://registry.example.net/": false, "http://10.0.0.1:5000/": false, "http://localhost.example.net/": false,
	} {
		for _, insecure := range []bool{false, true} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, text, nil)
			imagetest.Must(t, err)
			answer, err := guard{answering{}, insecure}.RoundTrip(r)
			if err == nil {
				err = answer.Body.Close()
			}
			if allowed := err == nil; allowed != (want || insecure) || !allowed && !errors.Is(err, errPlain) {
				t.Errorf("%s, insecure %t: %v", text, insecure, err)
			}
		}
	}
}

// TestRedirects do not lead into a private network.
func TestRedirects(t *testing.T) {
	from := &http.Request{URL: &url.URL{Scheme: "https", Host: "registry.example.net"}}
	for host, want := range map[string]bool{
		"storage.example.net": true, "192.0.2.1": true, "registry.example.net": true,
		"169.254.169.254": false, "127.0.0.1:80": false, "10.0.0.1": false, "[fd00::1]": false, "[::1]": false, "0.0.0.0": false,
	} {
		err := checkRedirect(&http.Request{URL: &url.URL{Scheme: "https", Host: host}}, []*http.Request{from})
		if (err == nil) != want {
			t.Errorf("to %s: %v", host, err)
		}
	}
	if err := checkRedirect(from, make([]*http.Request, maxRedirects)); err == nil {
		t.Error("redirects have no end")
	}
}
