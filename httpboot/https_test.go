package httpboot

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/provision"
)

// TestHTTPSForWhom: who gets https URLs, by what the site and the machine's file say.
// The agent gets them unless its machine's file says no; firmware only if something
// says yes.
func TestHTTPSForWhom(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	yes, no := true, false
	client := dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.HTTPBoot, Firmware: dhcp.EFIX64, Server: b.TFTP}
	const secure, other = "https://10.0.0.1", "https://10.0.0.2"
	for _, c := range []struct {
		what            string
		on, all         bool
		file            *bool
		firmware, agent bool
	}{
		{"off", false, false, nil, false, false},
		{"off, and the file asks for it", false, false, &yes, false, false},
		{"on", true, false, nil, false, true},
		{"on, and the file asks for it", true, false, &yes, true, true},
		{"on, and the file refuses it", true, false, &no, false, false},
		{"on for all firmware", true, true, nil, true, true},
		{"on for all firmware, and the file refuses it", true, true, &no, false, false},
	} {
		b.HTTPS = nil
		if c.on {
			b.HTTPS = &HTTPS{
				Base:   func(netip.Addr) string { return secure },
				Others: func(netip.Addr) []string { return []string{other} }, Firmware: c.all,
			}
		}
		b.change(node1, func(s *provision.Spec) { s.HTTPS = c.file })
		file := b.Boot(t.Context(), client).File
		if want := map[bool]string{true: secure, false: b.Base}[c.firmware] + "/loader/snponly.efi"; file != want {
			t.Errorf("%s: firmware gets %s, want %s", c.what, file, want)
		}
		want := []string{b.Base}
		if c.agent {
			want = []string{secure, other}
		}
		params := b.token(node1)
		if !slices.Equal(params.Servers, want) {
			t.Errorf("%s: the agent is told %s, want %s", c.what, params.Servers, want)
		}
		if plan := b.claim(node1); !slices.Equal(plan.Servers, want) {
			t.Errorf("%s: the plan names %s, want %s", c.what, plan.Servers, want)
		}
	}
}

// TestAnIPXEGoesOnAsItCame: its script names kernel and RAM disk by HTTPS only if the
// iPXE asked by HTTPS, since it trusts the site's authority then.
func TestAnIPXEGoesOnAsItCame(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	secure := httptest.NewTLSServer(b.Handler())
	defer secure.Close()
	b.HTTPS = &HTTPS{Base: func(netip.Addr) string { return secure.URL }}
	for base, client := range map[string]*http.Client{b.Base: http.DefaultClient, secure.URL: secure.Client()} {
		answer, err := client.Get(dialect.ScriptURL(base, node1))
		must(t, err)
		var text strings.Builder
		must(t, answer.Write(&text))
		for _, want := range []string{"kernel " + base + "/files/", "initrd --name ramdisk " + base + "/files/", "cloudlets.server=" + secure.URL + " "} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("the script from %s has no %q:\n%s", base, want, text.String())
			}
		}
	}
	answer, err := secure.Client().Get(secure.URL + "/loader/snponly.efi")
	must(t, err)
	must(t, answer.Body.Close())
	b.wantTrace(node1, "fetched boot loader snponly.efi by HTTPS")
}
