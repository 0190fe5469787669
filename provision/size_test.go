package provision_test

import (
	"testing"

	"cloudlets/provision"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "512": 512, "8GB": 8e9, "8 gb": 8e9, "16GiB": 16 << 30, "1.5TB": 15e11,
		"500107862016": 500107862016, "9007199254740993": 9007199254740993, " 4 kB ": 4000,
	} {
		if got, err := provision.ParseSize(text); got != want || err != nil {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GB", "8G", "-1", "-8GB", "8 GB GB", "1e9", "1.2.3GB", "99999999PB", "0x10", "NaN"} {
		if got, err := provision.ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 330e6: "330.0 MB", 500107862016: "500.1 GB",
		999_960: "1.0 MB", 1<<63 - 1: "9.2 EB",
	} {
		if got := provision.FormatSize(bytes); got != want {
			t.Errorf("FormatSize(%d) = %q, want %q", bytes, got, want)
		}
	}
}
