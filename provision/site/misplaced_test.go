package site

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMisplacedAddresses(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "machines"), 0o755); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{ // last part of the MAC to what is said of its address
		"01": "10.0.0.1 is this server's own",
		"02": "10.0.0.0 is the address of the network itself",
		"03": "10.0.0.255 is the broadcast address",
		"04": "192.0.2.7 is not in 10.0.0.0/24 or 10.1.0.0/16",
		"05": "10.1.0.1 is the router's",
		"06": "", // 10.0.0.6
		"07": "", // 10.1.0.255
	}
	for last, address := range map[string]string{"01": "10.0.0.1", "02": "10.0.0.0", "03": "10.0.0.255", "04": "192.0.2.7", "05": "10.1.0.1", "06": "10.0.0.6", "07": "10.1.0.255"} {
		file := filepath.Join(dir, "machines", "52:54:00:00:00:"+last+".json")
		if err := os.WriteFile(file, []byte(`{"image": "web", "address": "`+address+`"}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range s.Misplaced([]Served{
		{netip.MustParsePrefix("10.0.0.1/24"), map[netip.Addr]string{netip.MustParseAddr("10.0.0.1"): "this server's own"}},
		{netip.MustParsePrefix("10.1.0.0/16"), map[netip.Addr]string{netip.MustParseAddr("10.1.0.1"): "the router's"}},
	}) {
		last := strings.TrimSuffix(p.File[strings.LastIndex(p.File, ":")+1:], ".json")
		got[last] = p.Error()
	}
	for last, text := range want {
		if text == "" && got[last] != "" || !strings.Contains(got[last], text) {
			t.Errorf("%s: %q, want %q", last, got[last], text)
		}
	}
	if len(got) != 5 {
		t.Errorf("%d problems, want 5: %v", len(got), got)
	}
}
