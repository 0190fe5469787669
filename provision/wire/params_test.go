package wire

import (
	"reflect"
	"testing"
)

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
