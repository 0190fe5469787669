package pack

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"cloudlets/images"
)

// row is one line of the table of contents. The names come from zstd:chunked,
// so that other programs can read them. rawName, rawLinkName and rawXattrs are
// additions for bytes that a JSON string cannot hold. If one of them is
// present, it counts, and the text is only for people.
type row struct {
	Name        string            `json:"name"`
	RawName     []byte            `json:"rawName,omitempty"`
	Type        string            `json:"type"`
	Size        int64             `json:"size,omitempty"`
	ModTime     string            `json:"modtime,omitempty"`
	LinkName    string            `json:"linkName,omitempty"`
	RawLinkName []byte            `json:"rawLinkName,omitempty"`
	Mode        uint32            `json:"mode,omitempty"`
	UID         uint32            `json:"uid,omitempty"`
	GID         uint32            `json:"gid,omitempty"`
	DevMajor    uint32            `json:"devMajor,omitempty"`
	DevMinor    uint32            `json:"devMinor,omitempty"`
	Xattrs      map[string][]byte `json:"xattrs,omitempty"`
	// RawXattrs has the attributes whose name is not UTF-8. Its keys are these
	// names in hexadecimal.
	RawXattrs map[string][]byte `json:"rawXattrs,omitempty"`
	// Digest is the digest of a whole regular file.
	Digest string `json:"digest,omitempty"`
	// Offset and EndOffset delimit the frame of a chunk in the pack.
	// InnerOffset is the offset of the chunk in the unpacked frame.
	Offset      int64 `json:"offset,omitempty"`
	EndOffset   int64 `json:"endOffset,omitempty"`
	InnerOffset int64 `json:"innerOffset,omitempty"`
	// ChunkOffset is the offset of the chunk in the file. ChunkSize is absent
	// if the chunk is the whole file.
	ChunkOffset int64  `json:"chunkOffset,omitempty"`
	ChunkSize   int64  `json:"chunkSize,omitempty"`
	ChunkDigest string `json:"chunkDigest,omitempty"`
}

// rowChunk is the type of a row with a further chunk of the file in the row
// before.
const rowChunk = "chunk"

// rowTypes are the names of file types in zstd:chunked.
var rowTypes = [...]string{
	images.Regular:     "reg",
	images.Directory:   "dir",
	images.Symlink:     "symlink",
	images.HardLink:    "hardlink",
	images.CharDevice:  "char",
	images.BlockDevice: "block",
	images.FIFO:        "fifo",
}

// parseType is the inverse of rowTypes.
func parseType(s string) (images.Type, error) {
	for t, name := range rowTypes {
		if s != "" && name == s {
			return images.Type(t), nil
		}
	}
	return 0, fmt.Errorf("unknown type %q", s)
}

// entryRow returns the row of e without the data of its content.
func entryRow(e images.Entry) row {
	r := row{
		Type: rowTypes[e.Type], Size: e.Size, ModTime: formatTime(e.ModTime),
		Mode: e.Mode, UID: e.UID, GID: e.GID, DevMajor: e.Major, DevMinor: e.Minor,
	}
	r.Name, r.RawName = textAndRaw(tarName(e))
	link := e.Link
	if e.Type == images.HardLink {
		link = relName(link)
	}
	r.LinkName, r.RawLinkName = textAndRaw(link)
	for name, value := range e.Xattrs {
		r.setXattr(name, value)
	}
	return r
}

func (r *row) setXattr(name, value string) {
	if utf8.ValidString(name) {
		if r.Xattrs == nil {
			r.Xattrs = make(map[string][]byte)
		}
		r.Xattrs[name] = []byte(value)
		return
	}
	if r.RawXattrs == nil {
		r.RawXattrs = make(map[string][]byte)
	}
	r.RawXattrs[hex.EncodeToString([]byte(name))] = []byte(value)
}

// entry is the inverse of entryRow. It checks the resulting entry.
func (r *row) entry() (images.Entry, error) {
	t, err := parseType(r.Type)
	if err != nil {
		return images.Entry{}, err
	}
	mtime, err := parseTime(r.ModTime)
	if err != nil {
		return images.Entry{}, err
	}
	e := images.Entry{
		Path: absName(pick(r.Name, r.RawName)), Type: t, Mode: r.Mode, UID: r.UID, GID: r.GID,
		Size: r.Size, ModTime: mtime, Link: pick(r.LinkName, r.RawLinkName),
		Major: r.DevMajor, Minor: r.DevMinor,
	}
	if t == images.HardLink {
		e.Link = absName(e.Link)
	}
	if e.Xattrs, err = r.xattrs(); err != nil {
		return images.Entry{}, err
	}
	return e, checkEntry(e)
}

func (r *row) xattrs() (map[string]string, error) {
	if len(r.Xattrs)+len(r.RawXattrs) == 0 {
		return nil, nil
	}
	m := make(map[string]string, len(r.Xattrs)+len(r.RawXattrs))
	for name, value := range r.Xattrs {
		m[name] = string(value)
	}
	for h, value := range r.RawXattrs {
		name, err := hex.DecodeString(h)
		if err != nil {
			return nil, fmt.Errorf("rawXattrs name %q: %w", h, err)
		}
		m[string(name)] = string(value)
	}
	return m, nil
}

// checkEntry returns an error for an entry that cannot exist on a disk or that
// would lead out of the image.
func checkEntry(e images.Entry) error {
	switch {
	case !validPath(e.Path):
		return fmt.Errorf("path %q is not absolute and clean", e.Path)
	case e.Type < images.Regular || e.Type > images.FIFO:
		return fmt.Errorf("%s has unknown type %d", e.Path, e.Type)
	case e.Path == "/" && e.Type != images.Directory:
		return fmt.Errorf("the root is not a directory but a %s", rowTypes[e.Type])
	case e.Mode > 0o7777:
		return fmt.Errorf("%s has mode %#o, more than permission bits", e.Path, e.Mode)
	case e.Size < 0 || e.Size > 0 && e.Type != images.Regular:
		return fmt.Errorf("%s has size %d", e.Path, e.Size)
	case e.Type == images.HardLink && !validPath(e.Link):
		return fmt.Errorf("%s is a hard link to %q, not an absolute, clean path", e.Path, e.Link)
	case e.Type == images.Symlink && (e.Link == "" || strings.Contains(e.Link, "\x00")):
		return fmt.Errorf("%s is a symbolic link to %q", e.Path, e.Link)
	}
	for name := range e.Xattrs {
		if name == "" || strings.Contains(name, "\x00") {
			return fmt.Errorf("%s has an extended attribute named %q", e.Path, name)
		}
	}
	return nil
}

func validPath(p string) bool {
	return strings.HasPrefix(p, "/") && path.Clean(p) == p && !strings.Contains(p, "\x00")
}

// tarName returns e's name in a tar archive: a relative path, with a slash at
// the end for a directory.
func tarName(e images.Entry) string {
	name := relName(e.Path)
	if e.Type == images.Directory {
		name += "/"
	}
	return name
}

func relName(p string) string {
	if p == "/" {
		return "."
	}
	return strings.TrimPrefix(p, "/")
}

// absName is the inverse of tarName and relName. It does not clean the name, so
// that a name with ".." remains recognisable and is refused.
func absName(name string) string {
	name = strings.TrimSuffix(name, "/")
	if name == "." {
		return "/"
	}
	return "/" + name
}

// textAndRaw returns s as text. If s is not UTF-8, it also returns s as bytes.
func textAndRaw(s string) (string, []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return s, []byte(s)
}

func pick(text string, raw []byte) string {
	if raw != nil {
		return string(raw)
	}
	return text
}

// formatTime formats a time in RFC 3339 with nanoseconds. A year that this
// format cannot express is replaced by the nearest possible time, as
// filesystems do with theirs.
func formatTime(t time.Time) string { return clampTime(t).Format(time.RFC3339Nano) }

func clampTime(t time.Time) time.Time {
	t = t.UTC()
	switch y := t.Year(); {
	case t.IsZero(): // no time given: the epoch, as in tar
		return time.Unix(0, 0).UTC()
	case y < 1:
		return time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)
	case y > 9999:
		return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return t
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("modtime: %w", err)
	}
	return t.UTC(), nil
}

// digest is a SHA-256 digest.
type digest [sha256.Size]byte

const digestPrefix = "sha256:"

func (d digest) String() string { return digestPrefix + hex.EncodeToString(d[:]) }

func parseDigest(s string) (digest, error) {
	var d digest
	h, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(h) != 2*sha256.Size {
		return d, fmt.Errorf("%q is not a digest: want sha256: and 64 hex digits", s)
	}
	if _, err := hex.Decode(d[:], []byte(h)); err != nil {
		return d, fmt.Errorf("digest %q: %w", s, err)
	}
	return d, nil
}

// fits32 reports whether v can be a length within a frame.
func fits32(v int64) bool { return v >= 0 && v <= math.MaxInt32 }
