package images

import "strings"

// compareVersions orders the versions of kernels, older first: numbers count
// as numbers, so 6.1.0-9 is older than 6.1.0-31, and "~" as well as "-rc"
// come before the end, so 6.1-rc8 is older than 6.1.
func compareVersions(a, b string) int {
	a, b = strings.ReplaceAll(a, "-rc", "~rc"), strings.ReplaceAll(b, "-rc", "~rc")
	for a != "" || b != "" {
		if isDigit(a) && isDigit(b) {
			var x, y string
			x, a = number(a)
			y, b = number(b)
			if c := compareNumbers(x, y); c != 0 {
				return c
			}
			continue
		}
		if c := weight(a) - weight(b); c != 0 {
			return c
		}
		a, b = a[1:], b[1:]
	}
	return 0
}

func isDigit(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

// weight ranks what a text begins with: "~", its end, then punctuation and
// letters, then numbers.
func weight(s string) int {
	switch {
	case s == "":
		return 0
	case s[0] == '~':
		return -1
	case isDigit(s):
		return 512
	}
	return 1 + int(s[0])
}

// number splits off the digits that a text begins with, less leading zeros.
func number(s string) (digits, rest string) {
	end := 0
	for end < len(s) && isDigit(s[end:]) {
		end++
	}
	return strings.TrimLeft(s[:end], "0"), s[end:]
}

func compareNumbers(x, y string) int {
	if len(x) != len(y) {
		return len(x) - len(y)
	}
	return strings.Compare(x, y)
}
