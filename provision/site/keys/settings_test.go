package keys_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/provision/site/keys"
)

func TestSettings(t *testing.T) {
	got := goodSettings(t, `{
	"description": "the lab", // by the window
	"interface": "eth1", "dhcp": "10.0.0.100-10.0.0.200", "http": "10.0.0.1:80", "tftp": "off",
	"tftpSinglePort": true, "tftpBlockSize": 1400,
	"assets": "/srv/assets", "state": "../state", "dns": ["10.0.0.1", "9.9.9.9"],
	"router": "10.0.0.1", "domain": "lab.example.org", "leaseTime": "12h",
	"routerAdvertisement": "off", "secureBootKey": "/etc/cloudlets/db.key", "secureBootCert": "../db.pem",
}`)
	if !got.TFTPSinglePort || got.TFTPBlockSize != 1400 {
		t.Errorf("got %+v, want one port for TFTP, and blocks of 1400 bytes", got)
	}
	if !got.RouterAdvertisementOff {
		t.Errorf("got %+v, want no router advertisements", got)
	}
	if got.SecureBootKey != "/etc/cloudlets/db.key" || got.SecureBootCert != filepath.Join(filepath.Dir(siteFolder), "db.pem") {
		t.Errorf("got %+v, want the owner's key and certificate", got)
	}
	if got.LeaseTime != 12*time.Hour || got.Assets != "/srv/assets" || got.State != filepath.Join(filepath.Dir(siteFolder), "state") {
		t.Errorf("got %+v", got)
	}
	text := fmt.Sprint(got.Interface, " ", got.DHCP, " ", got.HTTP, " ", got.TFTP, " ", got.DNS, " ", got.Router, " ", got.Domain)
	if want := "eth1 10.0.0.100-10.0.0.200 10.0.0.1:80 off [10.0.0.1 9.9.9.9] 10.0.0.1 lab.example.org"; text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

func TestMistakesInSettings(t *testing.T) {
	for text, want := range map[string]string{
		`{"interfaces": "eth1"}`:         `unknown key "interfaces"; did you mean "interface"?`,
		`{"dhcp": "yes"}`:                `want "proxy", "off", or the addresses`,
		`{"http": "80"}`:                 "host and port",
		`{"tftp": "on"}`:                 "host and port",
		`{"secureBootKey": "db.key"}`:    `only one of "secureBootKey" and "secureBootCert"`,
		`{"tftpSinglePort": "yes"}`:      "want true or false",
		`{"tftpBlockSize": 7}`:           "7 is not a block size; want 8 to 65464",
		`{"tftpBlockSize": 1.5}`:         "1.5 is not a block size",
		`{"tftpBlockSize": "1400"}`:      "want a number of bytes",
		`{"routerAdvertisement": false}`: "want a text in quotes",
		`{"routerAdvertisement": "no"}`:  `want "on", which is the default, or "off"`,
		`{"dns": "10.0.0.1"}`:            "want a list",
		`{"dns": ["resolver"]}`:          "is not an IPv4 address",
		`{"router": "10.0.0.0/24"}`:      "is not an IPv4 address",
		`{"leaseTime": "1s"}`:            "is not a lease time",
		`{"leaseTime": 3600}`:            "want a text in quotes, have 3600",
		`{"domain": "a b"}`:              "is not a hostname",

		`{"https": 1}`:                         "want true, false or an object",
		`{"https": {"port": 0}}`:               "0 is not a TCP port",
		`{"https": {"firmware": "yes"}}`:       "want true or false",
		`{"https": {"generation": 0}}`:         "0 is not a generation",
		`{"https": {"cert": "c", "key": "k"}}`: "takes three files",
		`{"https": {"cert": "c", "key": "k", "ca": "c", "generation": 2}}`: "leave one of them out",
		`{"https": {"fimware": true}}`:                                     `did you mean "firmware"?`,

		`{"store": {}}`:                                          `"etcd" is missing`,
		`{"store": "etcd"}`:                                      "want an object",
		`{"store": {"etcd": ["10.0.0.1:2379"]}}`:                 "is not the URL of a member of etcd",
		`{"store": {"etcd": ["http://a"], "prefix": "x"}}`:       "is not a prefix",
		`{"store": {"etcd": ["http://a"], "tls": {"ca": 1}}}`:    "want a text",
		`{"store": {"etcd": ["http://a"], "tls": {"key": "k"}}}`: `want both, or neither`,
		`{"store": {"etcd": ["http://a"], "user": "u"}}`:         "has no password",
		`{"store": {"etdc": ["http://a"]}}`:                      `did you mean "etcd"?`,
	} {
		_, problems := settings(text)
		if got := lines(problems); !strings.HasPrefix(got, "cloudlets.json:1:") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestStoreSettings(t *testing.T) {
	got := goodSettings(t, `{"store": {
	"etcd": ["https://10.0.0.1:2379", "https://10.0.0.2:2379"], "prefix": "/lab",
	"tls": {"ca": "ca.pem", "cert": "/etc/cert.pem", "key": "/etc/key.pem"}, "user": "root", "passwordFile": "secret",
}}`).Store
	want := fmt.Sprintf("{[https://10.0.0.1:2379 https://10.0.0.2:2379] /lab {%s/ca.pem /etc/cert.pem /etc/key.pem} root %[1]s/secret}", siteFolder)
	if text := fmt.Sprint(got); text != want || !got.Shared() {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// TestHTTPSSettings: HTTPS is off unless the file says otherwise, and then firmware
// gets none of it unless the file says so, too.
func TestHTTPSSettings(t *testing.T) {
	for text, want := range map[string]keys.HTTPSSettings{
		`{}`:               {},
		`{"https": false}`: {},
		`{"https": true}`:  {Port: 443, Generation: 1},
		`{"https": {"firmware": true, "port": 8443, "generation": 2}}`:    {Port: 8443, Generation: 2, Firmware: true},
		`{"https": {"cert": "/c.pem", "key": "/k.pem", "ca": "/ca.pem"}}`: {Port: 443, Generation: 1, Cert: "/c.pem", Key: "/k.pem", CA: "/ca.pem"},
	} {
		if got := goodSettings(t, text).HTTPS; got != want || got.On() != (want.Port != 0) {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
	if spec := goodMachine(t, `{"https": false}`); spec.HTTPS == nil || *spec.HTTPS {
		t.Errorf("the machine's file says %v", spec.HTTPS)
	}
}

func TestParseDHCPService(t *testing.T) {
	for _, text := range []string{"proxy", "off", "10.0.0.100-10.0.0.200", "10.0.0.5-10.0.0.5"} {
		if d, err := keys.ParseDHCPService(text); err != nil || d.String() != text {
			t.Errorf("%q became %q, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "on", "10.0.0.1", "10.0.0.9-10.0.0.1", "10.0.0.1-", "a-b", "fe80::1-fe80::2"} {
		if d, err := keys.ParseDHCPService(text); err == nil {
			t.Errorf("%q became %q", text, d)
		}
	}
}
