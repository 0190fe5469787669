// Package bytesize writes numbers of bytes for people, and reads the ones that
// they write.
//
// One rule decides the form:
//
//   - [Decimal] is for what people wait for or compare with what they bought:
//     disks, memory, images, downloads. It is rounded, in units of 1000.
//   - [Binary] is for parts of a disk, which start and end at powers of two:
//     partitions, filesystems, alignment. It is rounded, in units of 1024.
//   - [Exact] is for limits, and for what a person typed. It is not rounded, and
//     [Parse] reads it back.
//
// github.com/dustin/go-humanize has no form that [Parse] reads back. Its number
// of decimals depends on the size, so columns of its figures jump. It also reads
// "8G", which some people mean as 8·1000³ bytes and some as 8·1024³.
package bytesize

import (
	"math"
	"strconv"
)

// The units that sizes are written in, the smallest first.
var (
	decimal = []unit{{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"PB", 1e15}, {"EB", 1e18}}
	binary  = []unit{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"PiB", 1 << 50}, {"EiB", 1 << 60}}
)

// unit is a name for a number of bytes.
type unit struct {
	name  string
	bytes int64
}

// Decimal writes a number of bytes in units of 1000, always with one decimal:
// "500.1 GB", but "999 B".
func Decimal(n int64) string {
	if n < 1000 {
		return bytes(n)
	}
	value, u := rounded(n, decimal, 999.95)
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + u.name
}

// Binary writes a number of bytes in units of 1024, with a decimal only if that
// says more: "512 MiB", "7.5 GiB", "466 GiB".
func Binary(n int64) string {
	if n < 1024 {
		return bytes(n)
	}
	value, u := rounded(n, binary, 1023.5)
	decimals := 1
	if value >= 99.95 || math.Round(value*10) == 10*math.Round(value) {
		decimals = 0
	}
	return strconv.FormatFloat(value, 'f', decimals, 64) + " " + u.name
}

// rounded is n in the largest unit of which it is at least one; a value from
// limit on would be rounded up to one of the next unit, which is then used.
func rounded(n int64, units []unit, limit float64) (float64, unit) {
	i := 0
	for i < len(units)-1 && float64(n)/float64(units[i].bytes) >= limit {
		i++
	}
	return float64(n) / float64(units[i].bytes), units[i]
}

// Exact writes a number of bytes without rounding, as the smallest whole number
// that any unit makes of it: "4 MiB", "8 GB", "1025 B".
func Exact(n int64) string {
	count, name := n, "B"
	for _, units := range [][]unit{decimal, binary} {
		for _, u := range units {
			if n%u.bytes == 0 && n/u.bytes != 0 && abs(n/u.bytes) < abs(count) {
				count, name = n/u.bytes, u.name
			}
		}
	}
	return strconv.FormatInt(count, 10) + " " + name
}

func abs(n int64) int64 { return max(n, -n) }

func bytes(n int64) string { return strconv.FormatInt(n, 10) + " B" }
