package wire

import (
	"reflect"
	"strings"
	"testing"
)

const someMAC = "52:54:00:00:00:01"

func TestParamsOfServersOfBothVersions(t *testing.T) {
	want := Params{
		Servers: []string{"http://[fd77::1]", "http://[fd77::2]:8080", "http://10.0.0.1"},
		Token:   "t", MAC: "52:54:00:12:34:56", OnFailure: "reboot",
	}
	got, err := ParseParams("quiet " + want.Cmdline() + " console=ttyS0")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the command line gives %+v, %v; want %+v", got, err, want)
	}
	if _, err := ParseParams(Params{Servers: []string{"http://fd77::1"}, Token: "t", MAC: "52:54:00:12:34:56"}.Cmdline()); err == nil {
		t.Error("an IPv6 address without brackets is taken for a URL")
	}
}

func TestParamsSurviveTheCommandLine(t *testing.T) {
	for _, want := range []Params{
		{Servers: []string{"http://10.0.0.1:8080"}, Token: "abc", MAC: someMAC},
		{Servers: []string{"http://10.0.0.1", "http://10.0.0.2:8080"}, Token: "abc", MAC: someMAC},
		{Servers: []string{"https://boot.example"}, Token: "abc", MAC: someMAC, OnFailure: "reboot"},
		{Ask: "http://10.0.0.1", OnFailure: "poweroff"},
	} {
		got, err := ParseParams("BOOT_IMAGE=vmlinuz initrd=ramdisk quiet " + want.Cmdline() + " console=ttyS0\n")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestParamsOfTheServerComeLast(t *testing.T) {
	own := Params{Servers: []string{"http://10.0.0.1"}, Token: "abc", MAC: someMAC}
	got, err := ParseParams("cloudlets.mac=52:54:00:00:00:99 cloudlets.onfailure=poweroff " + own.Cmdline())
	if err != nil || got.MAC != someMAC || got.OnFailure != "poweroff" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParamsThatAreWrongAreAllNamed(t *testing.T) {
	for line, want := range map[string]string{"quiet cloudlets.ask=http://10.0.0.1:8080": "", "cloudlets.ask=10.0.0.1": "is no http URL", "cloudlets.ask=http://10.0.0.1 cloudlets.onfailure=explode": `cloudlets.onfailure="explode"`} {
		p, err := ParseParams(line)
		if want == "" && (err != nil || p.Ask != "http://10.0.0.1:8080") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q is read as %+v, %v", line, p, err)
		}
	}
	_, err := ParseParams("cloudlets.server=ftp://x cloudlets.mac=pq cloudlets.onfailure=explode")
	for _, word := range []string{`cloudlets.server: "ftp://x"`, "cloudlets.token is missing", "cloudlets.mac", `cloudlets.onfailure="explode"`, "boot script"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("the error says %v, and should say %q", err, word)
		}
	}
}

func FuzzParseParams(f *testing.F) {
	f.Add("cloudlets.server=http://10.0.0.1 cloudlets.mac=52:54:00:00:00:01 cloudlets.token=x")
	f.Add("cloudlets.server=http:// cloudlets.mac= cloudlets.token")
	f.Fuzz(func(t *testing.T, line string) {
		p, err := ParseParams(line)
		if err != nil {
			return
		}
		if again, err := ParseParams(p.Cmdline()); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%q: %+v became %+v, %v", line, p, again, err)
		}
	})
}
