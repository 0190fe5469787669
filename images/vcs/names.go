package vcs

import (
	"errors"
	"fmt"
	"strings"

	"cloudlets/images"
)

// Some names cannot be in a repository: git refuses ".git" anywhere, and
// Mercurial ".hg" and line breaks. Others are content of an image and orders
// for the tool at once: a ".gitignore" deeper inside would keep files out of
// the image. While the tool works they have other names, and so they have in
// the repository: the prefix, and what Mercurial would refuse in hexadecimal.
const escapePrefix = ".cloudlet-"

// mustEscape says whether the tool cannot have a file of a name in a tree.
// top is for those in the root: orders in there are a user's own.
func mustEscape(kind Kind, name string, t images.Type, top bool) bool {
	if strings.HasPrefix(name, escapePrefix) {
		return true
	}
	lower := strings.ToLower(name)
	if kind == Hg {
		return lower == ".hg" || lower == ".hg." || strings.HasPrefix(lower, "hg~") || strings.HasPrefix(lower, "hg8b6c~") ||
			strings.ContainsAny(name, "\n\r")
	}
	return lower == ".git" || name == ".gitignore" && !top || lower == ".gitmodules" && t == images.Symlink
}

// escape is the name of a file while the tool sees it.
func escape(name string) string {
	if !strings.ContainsAny(name, "%\n\r") {
		return escapePrefix + name
	}
	var b strings.Builder
	b.WriteString(escapePrefix)
	for i := range len(name) {
		if c := name[i]; c == '%' || c == '\n' || c == '\r' {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape undoes escape; ok is false for a name that was not escaped.
func unescape(name string) (plain string, ok bool) {
	rest, ok := strings.CutPrefix(name, escapePrefix)
	if !ok || rest == "" {
		return name, false
	}
	for _, code := range []struct{ text, char string }{{"%0a", "\n"}, {"%0d", "\r"}, {"%25", "%"}} {
		rest = strings.ReplaceAll(rest, code.text, code.char)
	}
	if rest == "." || rest == ".." {
		return name, false // somebody made it by hand
	}
	return rest, true
}

// unescapePath turns a path in the repository, "etc/hosts", into the image's.
func unescapePath(p string) (string, error) {
	if !strings.Contains(p, escapePrefix) {
		return "/" + p, checkRepositoryPath(p)
	}
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i], _ = unescape(parts[i])
	}
	p = strings.Join(parts, "/")
	return "/" + p, checkRepositoryPath(p)
}

// checkRepositoryPath refuses a path that no tree of a repository should
// have: a hostile one may.
func checkRepositoryPath(p string) error {
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return fmt.Errorf("the repository holds the path %.200q: %w", p, errBadPath)
		}
	}
	return nil
}

var errBadPath = errors.New("it is not one inside of an image")
