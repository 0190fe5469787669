package provision_test

import (
	"encoding/json"
	"testing"

	"cloudlets/provision"
)

func TestParseMACReadsEveryUsualForm(t *testing.T) {
	const want provision.MAC = "52:54:00:ab:cd:ef"
	for _, text := range []string{
		"52:54:00:ab:cd:ef", "52:54:00:AB:CD:EF", "52-54-00-ab-cd-ef",
		"5254.00ab.cdef", "525400abcdef", "52.54.00.AB.CD.EF",
	} {
		if got, err := provision.ParseMAC(text); got != want || err != nil {
			t.Errorf("ParseMAC(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestParseMACRefuses(t *testing.T) {
	for _, text := range []string{
		"", "host", "52:54:00:ab:cd", "52:54:00:ab:cd:ef:01", "52:54-00:ab:cd:ef",
		"5:254:00:ab:cd:ef", "52:54:00:ab:cd:eg", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01",
		"00:00:00:00:00:00", "52:54:00:ab:cd:ef ", "../../../etc",
	} {
		if got, err := provision.ParseMAC(text); err == nil {
			t.Errorf("ParseMAC(%q) = %q, want an error", text, got)
		}
	}
}

func TestMACTextRoundTrip(t *testing.T) {
	var m map[provision.MAC]provision.MAC
	if err := json.Unmarshal([]byte(`{"52-54-00-12-34-56": "525400123456"}`), &m); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(m)
	if want := `{"52:54:00:12:34:56":"52:54:00:12:34:56"}`; string(text) != want || err != nil {
		t.Errorf("got %s, %v; want %s", text, err, want)
	}
	if err := json.Unmarshal([]byte(`{"x": "52:54:00:12:34:56"}`), &m); err == nil {
		t.Error("a key that is no MAC was accepted")
	}
}

func TestMACHardwareAddr(t *testing.T) {
	m := provision.MAC("52:54:00:12:34:56")
	back, err := provision.MACFrom(m.HardwareAddr())
	if back != m || err != nil {
		t.Errorf("got %q, %v", back, err)
	}
	if _, err := provision.MACFrom([]byte{2, 3}); err == nil {
		t.Error("an address of two bytes was accepted")
	}
}
