package httpboot

import (
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/provision"
)

// oneMachine is a site of one machine, with a boot loader of its own.
type oneMachine struct {
	Site
	spec provision.Spec
}

func (s oneMachine) Spec(mac provision.MAC) (provision.Spec, bool) { return s.spec, mac == s.spec.MAC }
func (s oneMachine) IsBootFile(name string) bool                   { return strings.EqualFold(name, "Own.efi") }

// TestLoadersAreFoundInAnyCase: some firmware asks for all names in capitals.
func TestLoadersAreFoundInAnyCase(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"undionly.kpxe", "Own.efi", "secret.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	loaders := Loaders{Dir: dir, Site: oneMachine{}}
	for _, name := range []string{"undionly.kpxe", "UNDIONLY.KPXE", "Own.efi", "own.efi", "OWN.EFI"} {
		if text, err := fs.ReadFile(loaders, name); err != nil || !strings.EqualFold(string(text), name) {
			t.Errorf("%s has %q: %v", name, text, err)
		}
	}
	if _, err := loaders.Open("SECRET.TXT"); err == nil {
		t.Error("a file that no machine boots is given out")
	}
}

// TestAHostnameNeedsNoAddress: a machine whose file has a name and no address is told
// the name.
func TestAHostnameNeedsNoAddress(t *testing.T) {
	const mac = provision.MAC("52:54:00:00:00:09")
	c := newBed(t, nil)
	c.site.mu.Lock()
	c.site.specs[mac] = provision.Spec{MAC: mac, Hostname: "web1"}
	c.site.mu.Unlock()
	hw := mac.HardwareAddr()
	if r, ok := c.Reserve(hw, netip.Prefix{}); !ok || r != (dhcp.Reservation{Hostname: "web1"}) {
		t.Errorf("reservation %+v, %t", r, ok)
	}
	hw[5]++
	if r, ok := c.Reserve(hw, netip.Prefix{}); ok {
		t.Errorf("a stranger has the reservation %+v", r)
	}
}
