package survey

import (
	"slices"
	"strings"
	"unicode"
)

// Family is a group of distributions that arrange their files in the same way.
type Family string

// The families that the survey distinguishes.
const (
	Debian  Family = "debian" // and Ubuntu
	Alpine  Family = "alpine"
	RedHat  Family = "redhat" // Fedora, RHEL and its rebuilds
	Arch    Family = "arch"
	SUSE    Family = "suse" // openSUSE and SLE
	Void    Family = "void"
	Gentoo  Family = "gentoo"
	NixOS   Family = "nixos"
	Busybox Family = "busybox" // a busybox without a distribution
	Unknown Family = "unknown"
)

// Distribution is the distribution from which an image was made.
type Distribution struct {
	Family Family
	// ID, Version and Name come from os-release(5), e.g. "debian", "12" and
	// "Debian GNU/Linux 12 (bookworm)". Each may be "".
	ID, Version, Name string
}

// releaseFiles are the places of os-release(5). The first that exists counts.
var releaseFiles = []string{"/etc/os-release", "/usr/lib/os-release"}

// olderFiles identify distributions without an os-release.
var olderFiles = []struct{ file, id string }{
	{"/etc/debian_version", "debian"}, {"/etc/alpine-release", "alpine"}, {"/etc/fedora-release", "fedora"},
	{"/etc/redhat-release", "rhel"}, {"/etc/arch-release", "arch"}, {"/etc/SuSE-release", "suse"}, {"/etc/gentoo-release", "gentoo"},
}

// families maps the distributions that others name in ID_LIKE.
var families = map[string]Family{
	"debian": Debian, "ubuntu": Debian, "alpine": Alpine, "fedora": RedHat, "rhel": RedHat, "centos": RedHat, "arch": Arch,
	"suse": SUSE, "opensuse": SUSE, "sles": SUSE, "void": Void, "gentoo": Gentoo, "nixos": NixOS,
}

func (e *explorer) distribution() error {
	d, from, err := e.readRelease()
	if err != nil {
		return err
	}
	e.found.Distribution = d
	e.found.Name = imageName(d)
	switch d.Family {
	case Unknown:
		e.addReason("name", "the distribution is unknown: neither %s nor any other known file identifies it", releaseFiles[0])
	case Busybox:
		e.addReason("name", "a busybox without a distribution")
	default:
		e.addReason("name", "%s says %s", from, strings.TrimSpace(d.ID+" "+d.Version))
	}
	return nil
}

// readRelease identifies the distribution, and returns the file that did so.
func (e *explorer) readRelease() (d Distribution, from string, err error) {
	for _, file := range releaseFiles {
		text, err := e.text(file)
		if err != nil {
			return d, "", err
		}
		if d := parseRelease(text); d.ID != "" {
			return d, file, nil
		}
	}
	for _, older := range olderFiles {
		text, err := e.text(older.file)
		if err != nil {
			return d, "", err
		}
		if ok, err := e.exists(older.file); err != nil || ok {
			version := strings.TrimSpace(text)
			if strings.IndexFunc(version, func(c rune) bool { return c != '.' && !unicode.IsDigit(c) }) >= 0 {
				version = "" // the file has a sentence or a name such as "squeeze/sid"
			}
			return Distribution{Family: families[older.id], ID: older.id, Version: version}, older.file, err
		}
	}
	d.Family = Unknown
	if file, err := e.firstProgram("/bin/busybox", "/usr/bin/busybox"); err != nil || file != "" {
		d.Family = Busybox
		return d, file, err
	}
	return d, "", nil
}

// parseRelease parses an os-release file, which consists of shell assignments.
// It ignores other lines.
func parseRelease(text string) Distribution {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			values[name] = unquote(value)
		}
	}
	d := Distribution{ID: values["ID"], Version: values["VERSION_ID"], Name: values["PRETTY_NAME"], Family: Unknown}
	for id := range strings.FieldsSeq(d.ID + " " + values["ID_LIKE"]) {
		if family, ok := families[id]; ok {
			d.Family = family
			break
		}
	}
	return d
}

// unquote removes a shell's quotes from a word. It drops control characters.
func unquote(word string) string {
	var b strings.Builder
	var quote rune
	escaped := false
	for _, c := range word {
		switch {
		case escaped:
			escaped = false
			b.WriteRune(c)
		case c == '\\' && quote != '\'':
			escaped = true
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && unicode.IsSpace(c):
			return b.String()
		case !unicode.IsControl(c):
			b.WriteRune(c)
		}
	}
	return b.String()
}

// imageName makes a name from a distribution, e.g. "debian-12".
func imageName(d Distribution) string {
	words := []string{d.ID, d.Version}
	if d.ID == "" {
		words = []string{string(d.Family)}
	}
	words = slices.DeleteFunc(words, func(s string) bool { return s == "" })
	return strings.Join(words, "-")
}
