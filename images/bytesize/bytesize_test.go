package bytesize_test

import (
	"testing"

	"cloudlets/images/bytesize"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "512": 512, "8GB": 8e9, "8 gb": 8e9, "16GiB": 16 << 30, "1.5TB": 15e11,
		"500107862016": 500107862016, "9007199254740993": 9007199254740993, " 4 kB ": 4000,
	} {
		if got, err := bytesize.Parse(text); got != want || err != nil {
			t.Errorf("Parse(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GB", "8G", "-1", "-8GB", "8 GB GB", "1e9", "1.2.3GB", "99999999PB", "0x10", "NaN"} {
		if got, err := bytesize.Parse(text); err == nil {
			t.Errorf("Parse(%q) = %d, want an error", text, got)
		}
	}
}

func TestDecimal(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 330e6: "330.0 MB", 500107862016: "500.1 GB",
		999_960: "1.0 MB", 1<<63 - 1: "9.2 EB",
	} {
		if got := bytesize.Decimal(bytes); got != want {
			t.Errorf("Decimal(%d) = %q, want %q", bytes, got, want)
		}
	}
}

func TestBinary(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 512 << 20: "512 MiB", 15 << 29: "7.5 GiB", 99<<30 + 1<<29: "99.5 GiB",
		1<<20 - 1: "1 MiB", 1<<63 - 1: "8 EiB", 500107862016: "466 GiB", -5: "-5 B",
	} {
		if got := bytesize.Binary(bytes); got != want {
			t.Errorf("Binary(%d) = %q, want %q", bytes, got, want)
		}
	}
}

func TestExactIsReadBack(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 B", 1: "1 B", 1025: "1025 B", 4 << 20: "4 MiB", 8e9: "8 GB", 250e6: "250 MB", 1500e6: "1500 MB",
		100 << 30: "100 GiB", 1<<53 + 1: "9007199254740993 B", 1<<63 - 1: "9223372036854775807 B",
	} {
		got := bytesize.Exact(bytes)
		if back, err := bytesize.Parse(got); got != want || back != bytes || err != nil {
			t.Errorf("Exact(%d) = %q, want %q; it is read back as %d, %v", bytes, got, want, back, err)
		}
	}
	if got := bytesize.Exact(-4096); got != "-4 KiB" {
		t.Errorf("Exact(-4096) = %q", got)
	}
}
