package bytesize

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// factor is how many bytes a unit stands for; units are read in either case.
// "G" alone is unknown: some people mean 1000³ and some 1024³.
func factor(name string) (bytes float64, known bool) {
	if name == "" || strings.EqualFold(name, "B") {
		return 1, true
	}
	for _, units := range [][]unit{decimal, binary} {
		for _, u := range units {
			if strings.EqualFold(name, u.name) {
				return float64(u.bytes), true
			}
		}
	}
	return 0, false
}

// Parse reads a number of bytes, with or without a unit: "500107862016",
// "500GB" (1000³), "16GiB" (1024³), "1.5 TB". Units are read in either case.
func Parse(text string) (int64, error) {
	number, unit := splitUnit(strings.TrimSpace(text))
	factor, known := factor(unit)
	if !known {
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
