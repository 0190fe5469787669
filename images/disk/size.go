package disk

import "strconv"

// HumanSize formats a number of bytes in the largest binary unit that fits, with
// two or three digits, e.g. "512 MiB" or "7.5 GiB".
func HumanSize(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i, unit := 0, int64(1)
	for i+1 < len(units) && n/unit >= kib {
		i, unit = i+1, unit*kib
	}
	if i == 0 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	tenths := (n/(unit/kib)*10 + kib/2) / kib
	if tenths >= 1000 || tenths%10 == 0 {
		return strconv.FormatInt((tenths+5)/10, 10) + " " + units[i]
	}
	return strconv.FormatInt(tenths/10, 10) + "." + strconv.FormatInt(tenths%10, 10) + " " + units[i]
}
