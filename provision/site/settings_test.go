package site_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/provision/site"
)

func TestSettings(t *testing.T) {
	dir := folder(t, map[string]string{"cloudlets.json": `{
	"description": "the lab", // by the window
	"interface": "eth1", "dhcp": "10.0.0.100-10.0.0.200", "http": "10.0.0.1:80", "tftp": "off",
	"tftpSinglePort": true, "tftpBlockSize": 1400,
	"assets": "/srv/assets", "state": "../state", "dns": ["10.0.0.1", "9.9.9.9"],
	"router": "10.0.0.1", "domain": "lab.example.org", "leaseTime": "12h",
}`})
	s := open(t, dir)
	if p := problems(s); p != "" {
		t.Fatal(p)
	}
	got := s.Settings()
	if !got.TFTPSinglePort || got.TFTPBlockSize != 1400 {
		t.Errorf("got %+v, want one port for TFTP, and blocks of 1400 bytes", got)
	}
	if got.LeaseTime != 12*time.Hour || got.Assets != "/srv/assets" || got.State != filepath.Join(filepath.Dir(dir), "state") {
		t.Errorf("got %+v", got)
	}
	text := fmt.Sprint(got.Interface, " ", got.DHCP, " ", got.HTTP, " ", got.TFTP, " ", got.DNS, " ", got.Router, " ", got.Domain)
	if want := "eth1 10.0.0.100-10.0.0.200 10.0.0.1:80 off [10.0.0.1 9.9.9.9] 10.0.0.1 lab.example.org"; text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

func TestMistakesInSettings(t *testing.T) {
	for text, want := range map[string]string{
		`{"interfaces": "eth1"}`:    `unknown key "interfaces"; did you mean "interface"?`,
		`{"dhcp": "yes"}`:           `want "proxy", "off", or the addresses`,
		`{"http": "80"}`:            "host and port",
		`{"tftp": "on"}`:            "host and port",
		`{"tftpSinglePort": "yes"}`: "want true or false",
		`{"tftpBlockSize": 7}`:      "7 is not a block size; want 8 to 65464",
		`{"tftpBlockSize": 1.5}`:    "1.5 is not a block size",
		`{"tftpBlockSize": "1400"}`: "want a number of bytes",
		`{"dns": "10.0.0.1"}`:       "want a list",
		`{"dns": ["resolver"]}`:     "is no IPv4 address",
		`{"router": "10.0.0.0/24"}`: "is no IPv4 address",
		`{"leaseTime": "1s"}`:       "is no lease time",
		`{"leaseTime": 3600}`:       "want a text in quotes, have 3600",
		`{"domain": "a b"}`:         "is no hostname",
	} {
		s := open(t, folder(t, map[string]string{"cloudlets.json": text}))
		if got := problems(s); !strings.HasPrefix(got, "cloudlets.json:1:") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestParseDHCPService(t *testing.T) {
	for _, text := range []string{"proxy", "off", "10.0.0.100-10.0.0.200", "10.0.0.5-10.0.0.5"} {
		if d, err := site.ParseDHCPService(text); err != nil || d.String() != text {
			t.Errorf("%q became %q, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "on", "10.0.0.1", "10.0.0.9-10.0.0.1", "10.0.0.1-", "a-b", "fe80::1-fe80::2"} {
		if d, err := site.ParseDHCPService(text); err == nil {
			t.Errorf("%q became %q", text, d)
		}
	}
}
