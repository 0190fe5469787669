package httpboot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/provision"
	"cloudlets/provision/depot"
)

// bootClient is a machine's iPXE.
func bootClient(mac provision.MAC) dhcp.Client {
	return dhcp.Client{MAC: mac.HardwareAddr(), Kind: dhcp.OwnIPXE, Firmware: dhcp.BIOS, HTTP: true}
}

func TestLoaders(t *testing.T) {
	b := newBed(t, nil)
	for name, kind := range map[string]string{"snponly.efi": "application/efi", "undionly.kpxe": "application/octet-stream"} {
		a := b.get("/loader/"+name).want(t, http.StatusOK, "this is "+name)
		if got := a.Header.Get("Content-Type"); got != kind {
			t.Errorf("%s has the type %q, want %q", name, got, kind)
		}
		head := b.do(http.MethodHead, "/loader/"+name, "", nil).want(t, http.StatusOK)
		if head.ContentLength != int64(len(a.body)) || a.ContentLength != int64(len(a.body)) || head.body != "" {
			t.Errorf("%s has %d bytes; GET says %d and HEAD %d", name, len(a.body), a.ContentLength, head.ContentLength)
		}
		part := b.get("/loader/"+name, "Range", "bytes=5-6").want(t, http.StatusPartialContent)
		if part.body != "is" {
			t.Errorf("bytes 5 to 6 of %s are %q", name, part.body)
		}
	}
}

// TestOnlyLoadersAreServed: the folder of loaders may hold more than DHCP hands
// out, and none of that can be had.
func TestOnlyLoadersAreServed(t *testing.T) {
	b := newBed(t, nil)
	for _, name := range []string{"secret.txt", "special.efi", "..%2fagent", "%2e%2e/agent", "../agent", "", "snponly.efi/", "boot.img"} {
		if a := b.get("/loader/" + name); a.StatusCode != http.StatusNotFound && name != "snponly.efi/" {
			t.Errorf("/loader/%s: status %d: %.60s", name, a.StatusCode, a.body)
		}
		if f, err := b.Loaders.Open(name); err == nil {
			f.Close()
			t.Errorf("TFTP serves %q", name)
		}
	}
	b.change(node1, func(s *provision.Spec) { s.Quirks.BootFile = "special.efi" })
	b.get("/loader/special.efi").want(t, http.StatusOK, "this is special.efi")
	must(t, os.Remove(filepath.Join(b.dir, "assets", "snponly-arm64.efi")))
	b.get("/loader/snponly-arm64.efi").want(t, http.StatusNotFound, "the boot loader snponly-arm64.efi is missing: put it into")
}

func TestFiles(t *testing.T) {
	b := newBed(t, nil)
	kit := b.kit(node1)
	path := depot.FilePath(kit.Kernel.Digest, "vmlinuz")
	whole := b.get(path).want(t, http.StatusOK)
	if whole.body != kernel(0x20c, 1) || whole.ContentLength != kit.Kernel.Size {
		t.Errorf("the kernel has %d bytes, its length is said to be %d, want %d", len(whole.body), whole.ContentLength, kit.Kernel.Size)
	}
	tag := whole.Header.Get("ETag")
	if tag != `"`+kit.Kernel.Digest+`"` || !strings.Contains(whole.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("ETag %s, Cache-Control %q", tag, whole.Header.Get("Cache-Control"))
	}
	b.get(path, "If-None-Match", tag).want(t, http.StatusNotModified)
	part := b.get(path, "Range", "bytes=1000-1999", "If-Range", tag).want(t, http.StatusPartialContent)
	if part.body != whole.body[1000:2000] || part.Header.Get("Content-Range") != fmt.Sprintf("bytes 1000-1999/%d", kit.Kernel.Size) {
		t.Errorf("a range of %d bytes, Content-Range %q", len(part.body), part.Header.Get("Content-Range"))
	}
	b.get(path, "Range", "bytes=1000-1999", "If-Range", `"another"`).want(t, http.StatusOK)
	b.get(path, "Range", "bytes=999999-").want(t, http.StatusRequestedRangeNotSatisfiable)
	head := b.do(http.MethodHead, path, "", nil).want(t, http.StatusOK)
	if head.ContentLength != kit.Kernel.Size || head.Header.Get("ETag") != tag {
		t.Errorf("HEAD: length %d, ETag %s", head.ContentLength, head.Header.Get("ETag"))
	}
}

// TestHostileDigests: nothing but a digest names a file, and what comes after
// it is for people only.
func TestHostileDigests(t *testing.T) {
	b := newBed(t, nil)
	hex := strings.TrimPrefix(b.kit(node1).Kernel.Digest, "sha256:")
	for _, path := range []string{
		"..%2f..%2fagent/x", "%2e%2e/agent", "none/x", "", hex[:63] + "/x", strings.ToUpper(hex) + "/x", hex + "0/x",
		hex + "%00/x", "sha256:" + hex + "/x", "../memo/x", hex,
	} {
		a := b.get("/files/"+path).want(t, http.StatusNotFound)
		if a.Header.Get("Cache-Control") != "" {
			t.Errorf("/files/%s: a 404 may be cached: %q", path, a.Header.Get("Cache-Control"))
		}
	}
	b.SawExchange(dhcp.Exchange{Client: bootClient(node1), Addr: b.TFTP, Reply: "ACK"})
	b.get("/files/"+hex+"/%1b%5b2J%0aforged").want(t, http.StatusOK)
	if story := b.trace(node1); strings.ContainsRune(story, 0x1b) || strings.Contains(story, "\nforged") {
		t.Errorf("a name forges the trace:\n%q", story)
	}
}

// TestNoRedirects: firmware does not follow them.
func TestNoRedirects(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	for _, path := range []string{
		"//boot//" + string(node1) + "//script", "/boot/./" + string(node1) + "/x/../script", "/boot/" + string(node1) + "/script/",
		"///loader///snponly.efi", "/boot/52-54-00-00-00-01/script", "/boot/5254.0000.0001/script",
	} {
		b.get(path).want(t, http.StatusOK)
	}
	for path, word := range map[string]string{
		"/": "there is nothing here", "/autoexec.ipxe": "there is nothing here", "/boot/": "there is nothing here",
		"/boot/script": "there is nothing here", "/boot/00:00:00:00:00:00/script": "all zeros",
		"/boot/01:00:00:00:00:01/script": "group address", "/boot/x/script": "want six bytes in hexadecimal",
		"/files/" + strings.Repeat("0", 64) + "/pack": "restart the machine for a new script",
	} {
		b.get(path).want(t, http.StatusNotFound, word)
	}
	b.do(http.MethodPost, "/boot/"+string(node1)+"/script", "", nil).want(t, http.StatusMethodNotAllowed)
	b.do(http.MethodGet, "/agent/claim", "", nil)
}

// TestSilentChain: a chain without a logger works.
func TestSilentChain(t *testing.T) {
	b := newBed(t, nil)
	b.Chain.Log = nil
	b.do(http.MethodPost, "/agent/claim", "", `{"token": "0", "nonce": "1", "mac": "`+string(node1)+`"}`).want(t, http.StatusForbidden)
}

// TestBootNeedsAMAC: a packet may have any hardware address.
func TestBootNeedsAMAC(t *testing.T) {
	b := newBed(t, nil)
	for _, mac := range [][]byte{nil, {1}, make([]byte, 6), make([]byte, 16)} {
		boot := b.Boot(context.Background(), dhcp.Client{MAC: mac})
		if boot.File != "" || boot.Reason == "" {
			t.Errorf("the hardware address %x boots %+v", mac, boot)
		}
	}
}

// TestCheck: what is missing is named before anyone walks to the rack.
func TestCheck(t *testing.T) {
	b := newBed(t, nil)
	b.change(node1, func(s *provision.Spec) { s.Quirks.BootFile = "absent.efi" })
	missing := b.Loaders.Check(b.site.Specs())
	if len(missing) != 1 || !strings.Contains(missing[0].Error(), string(node1)+" cannot boot with the quirk of its file: the boot loader absent.efi is missing: put it into "+b.Loaders.Dir) {
		t.Errorf("missing: %v", missing)
	}
	b.forget(node1)
	if missing := b.Loaders.Check(b.site.Specs()); len(missing) != 0 {
		t.Errorf("missing, though all is there: %v", missing)
	}
}

// TestSawKit: machines that wait to install an image are told how it went, and
// others are not.
func TestSawKit(t *testing.T) {
	b := newBed(t, nil)
	const other = "52:54:00:00:00:02"
	b.change(other, func(s *provision.Spec) { s.Image = "mail" })
	b.SawKit(depot.Key{Image: "web"}, depot.Status{Err: errors.New("it has no kernel")})
	events, err := b.Tracker.Events(t.Context(), node1, 0, 0)
	must(t, err)
	if len(events) != 1 || events[0].Text != "the image web cannot be booted" || events[0].Reason != "it has no kernel" {
		t.Errorf("events of the machine that waits: %v", events)
	}
	events, err = b.Tracker.Events(t.Context(), other, 0, 0)
	must(t, err)
	if len(events) != 0 {
		t.Errorf("events of a machine with another image: %v", events)
	}
}
