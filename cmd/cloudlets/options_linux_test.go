package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/provision/site"
)

// TestOptionsOfTheServerItself: the site refuses an option exactly if the DHCP server
// would. The two know nothing of each other, so each has its own list.
func TestOptionsOfTheServerItself(t *testing.T) {
	dir := t.TempDir()
	for code := range 256 {
		text := fmt.Sprintf(`{"interface": "eth1", "options": {"%d": "hex:01"}}`, code)
		if err := os.WriteFile(filepath.Join(dir, "cloudlets.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		opened, err := site.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		refused := false
		for _, p := range opened.Problems() {
			refused = refused || strings.Contains(p.Error(), fmt.Sprintf("the server itself decides about option %d;", code))
		}
		if own := dhcp.IsOwnOption(uint8(code)); refused != own {
			t.Errorf("option %d: the site refuses it: %v, the DHCP server: %v", code, refused, own)
		}
	}
}
