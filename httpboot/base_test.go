package httpboot

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"cloudlets/dhcp"
)

// TestURLsAreOfTheMachinesNetwork: DHCP and HTTP name the address at which the
// machine reached the server.
func TestURLsAreOfTheMachinesNetwork(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	b.Chain.Base = func(own netip.Addr) string { return "http://" + own.String() }
	b.Chain.Others = func(own netip.Addr) []string { return []string{"http://other-of-" + own.String()} }
	client := bootClient(node1)
	client.Kind, client.HTTP, client.BzImage, client.Server = dhcp.IPXE, true, true, netip.MustParseAddr("10.88.0.1")
	if got := b.Boot(t.Context(), client).File; !strings.HasPrefix(got, "http://10.88.0.1/boot/") {
		t.Errorf("DHCP names %s", got)
	}
	script := b.get("/boot/" + string(node1) + "/script")
	script.want(t, http.StatusOK)
	if text := script.body; !strings.Contains(text, "kernel http://127.0.0.1/") || !strings.Contains(text, "http://other-of-127.0.0.1") {
		t.Errorf("the script is\n%s", text)
	}
}
