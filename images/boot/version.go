package boot

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

// IsAtLeast says whether a kernel is of a version, such as "6.10", or later. Without a
// version it is not.
func (k Kernel) IsAtLeast(version string) bool { return versionFits(">="+version, k.Version) }

// versionFits says whether the release of a running kernel is what a version
// constraint asks for: ">=2.6.32, <7", where all that the commas part has to
// hold. A version of numbers alone speaks of the kernel's own version, so
// "6.1.0-31-amd64" is "=6.1" and not ">6.1".
func versionFits(constraint, release string) bool {
	for part := range strings.SplitSeq(constraint, ",") {
		part = strings.TrimSpace(part)
		wanted := strings.TrimLeft(part, "<>= ")
		operator := strings.TrimSpace(part[:len(part)-len(wanted)])
		have := release
		if base := baseVersion(wanted); base == wanted {
			have = baseVersion(release)
			wanted, have = withoutZeros(wanted), withoutZeros(have)
		}
		c := compareVersions(have, wanted)
		fits := map[string]bool{">=": c >= 0, "<=": c <= 0, "<": c < 0, ">": c > 0, "=": c == 0}
		if !fits[operator] {
			return false
		}
	}
	return true
}

// baseVersion is the numbers that a kernel's release begins with; a release
// candidate stays one.
func baseVersion(release string) string {
	end := 0
	for end < len(release) && (isDigit(release[end:]) || release[end] == '.' && isDigit(release[end+1:])) {
		end++
	}
	if strings.HasPrefix(release[end:], "-rc") {
		candidate, _ := number(release[end+3:])
		return release[:end] + "~rc" + candidate
	}
	return release[:end]
}

// withoutZeros takes the zeros off a version's end: 6.1.0 is 6.1.
func withoutZeros(version string) string {
	numbers, candidate, _ := strings.Cut(version, "~")
	for strings.HasSuffix(numbers, ".0") {
		numbers = strings.TrimSuffix(numbers, ".0")
	}
	if candidate != "" {
		return numbers + "~" + candidate
	}
	return numbers
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
