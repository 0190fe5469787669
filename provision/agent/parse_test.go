package agent

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"cloudlets/provision/wire"
)

func TestParamsSurviveTheCommandLine(t *testing.T) {
	for _, want := range []wire.Params{
		{Servers: []string{"http://10.0.0.1:8080"}, Token: "abc", MAC: testMAC},
		{Servers: []string{"http://10.0.0.1", "http://10.0.0.2:8080"}, Token: "abc", MAC: testMAC},
		{Servers: []string{"https://boot.example"}, Token: "abc", MAC: testMAC, OnFailure: "reboot"},
		{Ask: "http://10.0.0.1", OnFailure: "poweroff"},
	} {
		got, err := wire.ParseParams("BOOT_IMAGE=vmlinuz initrd=ramdisk quiet " + want.Cmdline() + " console=ttyS0\n")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestParamsOfTheServerComeLast(t *testing.T) {
	own := wire.Params{Servers: []string{"http://10.0.0.1"}, Token: "abc", MAC: testMAC}
	got, err := wire.ParseParams("cloudlets.mac=52:54:00:00:00:99 cloudlets.onfailure=poweroff " + own.Cmdline())
	if err != nil || got.MAC != testMAC || got.OnFailure != "poweroff" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParamsThatAreWrongAreAllNamed(t *testing.T) {
	for line, want := range map[string]string{"quiet cloudlets.ask=http://10.0.0.1:8080": "", "cloudlets.ask=10.0.0.1": "is no http URL", "cloudlets.ask=http://10.0.0.1 cloudlets.onfailure=explode": `cloudlets.onfailure="explode"`} {
		p, err := wire.ParseParams(line)
		if want == "" && (err != nil || p.Ask != "http://10.0.0.1:8080") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q is read as %+v, %v", line, p, err)
		}
	}
	_, err := wire.ParseParams("cloudlets.server=ftp://x cloudlets.mac=pq cloudlets.onfailure=explode")
	wantError(t, err, `cloudlets.server: "ftp://x"`, "cloudlets.token is missing", "cloudlets.mac", `cloudlets.onfailure="explode"`, "boot script")
}

func FuzzParseParams(f *testing.F) {
	f.Add("cloudlets.server=http://10.0.0.1 cloudlets.mac=52:54:00:00:00:01 cloudlets.token=x")
	f.Add("cloudlets.server=http:// cloudlets.mac= cloudlets.token")
	f.Fuzz(func(t *testing.T, line string) {
		p, err := wire.ParseParams(line)
		if err != nil {
			return
		}
		if again, err := wire.ParseParams(p.Cmdline()); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%q: %+v became %+v, %v", line, p, again, err)
		}
	})
}

func TestProgressHasTheRateOfTheLastSeconds(t *testing.T) {
	m, start := &meter{}, time.Unix(1000, 0)
	for i, want := range []struct {
		seconds float64
		done    int64
		due     bool
		rate    int64
	}{
		{0, 0, true, 0},
		{0.5, 50, false, 0}, // too soon
		{1, 100, true, 100},
		{2, 300, true, 150},
		{20, 300, true, 0}, // nothing came for long
		{21, 1300, true, 1000},
		{21.1, 2000, true, 1545}, // the end is always told
	} {
		p, due := m.add(start.Add(time.Duration(want.seconds*float64(time.Second))), want.done, 2000)
		if due != want.due || due && (p.Rate != want.rate || p.Done != want.done || p.Total != 2000) {
			t.Errorf("%d: %+v, %t; want rate %d, %t", i, p, due, want.rate, want.due)
		}
	}
}
