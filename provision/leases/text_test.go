package leases

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"cloudlets/dhcp"
)

var sample = Record{
	Lease: dhcp.Lease{
		Addr: netip.MustParseAddr("10.77.64.3"), MAC: net.HardwareAddr{0x52, 0x54, 0, 0xff, 0xfe, 1}, Hostname: "node-7.lab",
		Expires: time.Date(2030, 1, 2, 3, 4, 5, 678900000, time.UTC),
	},
	Since: time.Date(2030, 1, 1, 3, 4, 5, 0, time.UTC), Server: "pxe1",
}

// FuzzText: leases are read and written as package json reads and writes them.
func FuzzText(f *testing.F) {
	for _, text := range []string{
		`{"Addr":"10.0.0.8","MAC":"UlQAAAAB","Hostname":"a","Expires":"2030-01-02T03:04:05Z"}`,
		`{"Addr":"10.0.0.8","MAC":"UlQAAAAB","Hostname":"a\u003cb","Expires":"2030-01-02T03:04:05.5+01:00"}`,
		`{"Addr":"fd00::8%eth0","MAC":"UlQAAAAB","Hostname":"","Expires":"2030-01-02T03:04:05Z"}`,
		`{"Addr":"10.0.0.8","MAC":"","Hostname":"","Expires":"2030-01-02T3:04:05,5Z"}`,
		`{"Addr":"","MAC":null,"Hostname":"é","Expires":"0001-01-01T00:00:00Z"}`,
		`{"Addr":"10.0.0.8","MAC":"UlQAAAAB","Hostname":"","Expires":"2030-01-02T03:04:05Z","Addr":"10.0.0.9"}`,
		`{"Addr":"10.0.0.8","MAC":"UlQAAAAB","Hostname":"","Expires":"2030-01-02T03:04:05Z","MAC":"","Hostname":"x"}`,
		`{"Addr":"10.0.0.8","MAC":"UlQAAAAB","Hostname":"a","Expires":"2030-01-02T03:04:05Z","Since":"2030-01-01T03:04:05Z","Server":"pxe1"}`,
		`{"Addr":"10.0.0.8","MAC":"UlQAAAAB","Hostname":"a","Expires":"2030-01-02T03:04:05Z","Server":"pxe<1"}`,
		`{"Addr":"10.0.0.8","MAC":"UlQAAAAB","Hostname":"a","Expires":"2030-01-02T03:04:05Z","Server":"pxe1","Since":"2030-01-01T03:04:05Z"}`,
		`{"Addr":"10.0.0.8","MAC":"UlQAAAAB","Hostname":"a","Expires":"2030-01-02T03:04:05Z","Since":""}`,
		`{"Expires":"2030-01-02T03:04:05Z","Addr":"10.0.0.8"}`, `{`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want, got Record
		errWant, errGot := json.Unmarshal(text, &want), decode(text, &got)
		if (errWant == nil) != (errGot == nil) || errWant == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%s is read as %+v, %v; want %+v, %v", text, got, errGot, want, errWant)
		}
		if errWant != nil {
			return
		}
		wantText, errWant := json.Marshal(want)
		gotText, errGot := encode(want)
		if (errWant == nil) != (errGot == nil) || !bytes.Equal(gotText, wantText) {
			t.Fatalf("%+v is written as %s, %v; want %s, %v", want, gotText, errGot, wantText, errWant)
		}
	})
}

// TestUsualLeasesAreUsual: otherwise the quick way would never be taken, and no other
// test would fail.
func TestUsualLeasesAreUsual(t *testing.T) {
	text, err := encode(sample)
	if err != nil || !isUsual(sample) {
		t.Fatalf("%s, %v", text, err)
	}
	if _, ok := decodeUsual(string(text)); !ok {
		t.Errorf("%s is not read quickly", text)
	}
	local := sample
	local.Expires = sample.Expires.In(time.FixedZone("", 3600))
	text, err = encode(local)
	if want, _ := json.Marshal(local); err != nil || !bytes.Equal(text, want) {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
}

// BenchmarkText writes and reads one lease.
func BenchmarkText(b *testing.B) {
	b.Run("quick", func(b *testing.B) {
		for b.Loop() {
			text, _ := encode(sample)
			var l Record
			_ = decode(text, &l)
		}
	})
	b.Run("json", func(b *testing.B) {
		for b.Loop() {
			text, _ := json.Marshal(sample)
			var l Record
			_ = json.Unmarshal(text, &l)
		}
	})
}
