package tarball

import (
	"archive/tar"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"cloudlets/images"
)

// Records of extended headers that hold extended attributes. GNU tar, star and
// libarchive write the first, with raw values. libarchive also writes its own,
// with the name escaped as in a URL and the value in base 64.
const (
	xattrRecord      = "SCHILY.xattr."
	libarchiveRecord = "LIBARCHIVE.xattr."
	// selinuxRecord is the label that GNU tar writes with --selinux.
	selinuxRecord = "RHT.security.selinux"
	selinuxXattr  = "security.selinux"
)

// setXattrs reads the extended attributes that an extended header carries. What
// Linux can store on no file is left out; dropped has the names.
func setXattrs(h *tar.Header, e *images.Entry) (dropped []string, err error) {
	all, err := xattrsOf(h)
	if err != nil {
		return nil, err
	}
	for name := range all {
		if !storable(name, e.Type) {
			delete(all, name)
			dropped = append(dropped, name)
		}
	}
	if len(all) > 0 {
		e.Xattrs = all
	}
	slices.Sort(dropped)
	return dropped, nil
}

// xattrsOf reads the extended attributes, whatever they are called.
func xattrsOf(h *tar.Header) (map[string]string, error) {
	var xattrs map[string]string
	for key, value := range h.PAXRecords {
		name, value, err := xattrOf(key, value)
		if err != nil {
			return nil, err
		}
		if _, schily := h.PAXRecords[xattrRecord+name]; name == "" || schily && !strings.HasPrefix(key, xattrRecord) {
			continue
		}
		if len(name) > maxXattrName || len(value) > maxXattr || strings.ContainsRune(name, 0) {
			return nil, fmt.Errorf("has the extended attribute %.40q, of which name or value is longer than any filesystem's", name)
		}
		if xattrs == nil {
			xattrs = map[string]string{}
		}
		xattrs[name] = value
	}
	return xattrs, nil
}

// xattrOf is the extended attribute in one record. The name is "" if it holds
// none.
func xattrOf(key, value string) (name, content string, err error) {
	if name, ok := strings.CutPrefix(key, xattrRecord); ok {
		return xattrName(name), value, nil
	}
	if escaped, ok := strings.CutPrefix(key, libarchiveRecord); ok {
		name, err1 := url.PathUnescape(escaped)
		content, err2 := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
		if err := errors.Join(err1, err2); err != nil {
			return "", "", fmt.Errorf("has the damaged extended attribute %.40q: %w", escaped, err)
		}
		return name, string(content), nil
	}
	if key == selinuxRecord {
		return selinuxXattr, strings.TrimRight(value, "\x00") + "\x00", nil // as the kernel has it
	}
	return "", "", nil
}

// xattrName is the attribute's name in a record's key, where GNU tar writes
// "=" and "%" as %3D and %25.
func xattrName(key string) string {
	if !strings.Contains(key, "%") {
		return key
	}
	return strings.NewReplacer("%25", "%", "%3D", "=").Replace(key)
}

// storable says whether Linux can store an extended attribute on a file of a
// type (xattr(7)). Other systems have names without a class, such as
// com.apple.provenance.
func storable(name string, t images.Type) bool {
	class, rest, _ := strings.Cut(name, ".")
	switch class {
	case "trusted", "security":
		return rest != ""
	case "user":
		return rest != "" && (t == images.Regular || t == images.Directory)
	}
	return name == accessXattr || name == defaultXattr
}
