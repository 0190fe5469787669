package vcs

import (
	"errors"
	"fmt"
	"strings"

	"cloudlets/images"
)

// A repository cannot contain some names: git refuses ".git" everywhere, and
// Mercurial refuses ".hg" and line breaks. Other names are content of the image
// but also instructions for the tool: a ".gitignore" in a subdirectory would
// keep files out of the image. While the tool works, and in the repository,
// such files have another name. It consists of this prefix and the original
// name, with "%" and line breaks in hexadecimal.
const EscapePrefix = ".cloudlet-"

// MustEscape reports whether the tool cannot keep a file with this name in a
// tree. top is set for files in the root, because instructions there are the
// user's own.
func MustEscape(kind Kind, name string, t images.Type, top bool) bool {
	if strings.HasPrefix(name, EscapePrefix) {
		return true
	}
	lower := strings.ToLower(name)
	if kind == Hg {
		return lower == ".hg" || lower == ".hg." || strings.HasPrefix(lower, "hg~") || strings.HasPrefix(lower, "hg8b6c~") ||
			strings.ContainsAny(name, "\n\r")
	}
	return lower == ".git" || name == ".gitignore" && !top || lower == ".gitmodules" && t == images.Symlink
}

// Escape returns the name of a file as the tool sees it.
func Escape(name string) string {
	if !strings.ContainsAny(name, "%\n\r") {
		return EscapePrefix + name
	}
	var b strings.Builder
	b.WriteString(EscapePrefix)
	for i := range len(name) {
		if c := name[i]; c == '%' || c == '\n' || c == '\r' {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Unescape reverses escape. ok is false if the name was not escaped.
func Unescape(name string) (plain string, ok bool) {
	rest, ok := strings.CutPrefix(name, EscapePrefix)
	if !ok || rest == "" {
		return name, false
	}
	for _, code := range []struct{ text, char string }{{"%0a", "\n"}, {"%0d", "\r"}, {"%25", "%"}} {
		rest = strings.ReplaceAll(rest, code.text, code.char)
	}
	if rest == "." || rest == ".." {
		return name, false // escape never makes such a name
	}
	return rest, true
}

// UnescapePath converts a path in the repository, e.g. "etc/hosts", to a path
// in the image.
func UnescapePath(p string) (string, error) {
	if !strings.Contains(p, EscapePrefix) {
		return "/" + p, checkRepositoryPath(p)
	}
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i], _ = Unescape(parts[i])
	}
	p = strings.Join(parts, "/")
	return "/" + p, checkRepositoryPath(p)
}

// checkRepositoryPath returns an error for a path that only a hostile
// repository contains.
func checkRepositoryPath(p string) error {
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return fmt.Errorf("the repository holds the path %.200q: %w", p, errBadPath)
		}
	}
	return nil
}

var errBadPath = errors.New("it is not a valid path in an image")
