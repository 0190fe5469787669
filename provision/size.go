package provision

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// sizeUnits are the units that a size may be written with. "G" alone is not
// among them: some read it as 1000³, some as 1024³.
var sizeUnits = map[string]float64{
	"": 1, "b": 1,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "pb": 1e15,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "pib": 1 << 50,
}

// ParseSize reads a number of bytes, with or without a unit: "500107862016",
// "500GB" (1000³), "16GiB" (1024³), "1.5 TB". Units are read in either case.
func ParseSize(text string) (int64, error) {
	number, unit := splitUnit(strings.TrimSpace(text))
	factor, ok := sizeUnits[strings.ToLower(unit)]
	if !ok {
		return 0, fmt.Errorf("parse size %q: unknown unit %q; write GB for 1000³ bytes or GiB for 1024³ (likewise KB, MB, TB, KiB, MiB, TiB)", text, unit)
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && factor == 1 && n >= 0 {
		return n, nil
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || value < 0 || math.IsNaN(value) {
		return 0, fmt.Errorf("parse size %q: want a number of bytes, such as 500GB, 16GiB or 8000000000", text)
	}
	if value *= factor; value >= math.MaxInt64 {
		return 0, fmt.Errorf("parse size %q: more than any disk holds", text)
	}
	return int64(math.Round(value)), nil
}

// splitUnit parts "1.5 TB" into "1.5" and "TB".
func splitUnit(text string) (number, unit string) {
	end := strings.IndexFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && r != '.'
	})
	if end < 0 {
		return text, ""
	}
	return text[:end], strings.TrimSpace(text[end:])
}

// FormatSize writes a number of bytes for a person, in units of 1000 as disks
// are sold: "500.1 GB".
func FormatSize(bytes int64) string {
	units := []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	if bytes < 1000 {
		return strconv.FormatInt(bytes, 10) + " B"
	}
	value, i := float64(bytes)/1000, 0
	for value >= 999.95 && i < len(units)-1 {
		value, i = value/1000, i+1
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + units[i]
}
