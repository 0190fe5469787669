package metadata

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"cloudlets/images"
)

// The maximum sizes of a metadata file.
const (
	maxBytes = 256 << 20 // of the whole file
	maxLine  = 4 << 20   // of one line, which includes a file's extended attributes
)

// Parse reads a metadata file. Errors name the line. A file with the marks of
// an unresolved merge returns [ErrConflict].
func Parse(r io.Reader) (File, error) {
	limited := &io.LimitedReader{R: r, N: maxBytes + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 1<<16), maxLine)
	var p parser
	for lines.Scan() {
		p.number++
		if err := p.line(lines.Text()); err != nil {
			return File{}, fmt.Errorf("%s, line %d: %w", Path, p.number, err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return File{}, fmt.Errorf("%s, line %d: is longer than the %d bytes allowed", Path, p.number+1, maxLine)
	case err != nil:
		return File{}, fmt.Errorf("read %s: %w", Path, err)
	case limited.N == 0:
		return File{}, fmt.Errorf("read %s: it is longer than the %d bytes allowed", Path, maxBytes)
	case p.number == 0:
		return File{}, fmt.Errorf("read %s: it is empty; the first line must be %q", Path, header)
	}
	return New(p.records), nil
}

type parser struct {
	number  int
	records []Record
	seen    map[string]bool // nil as long as the paths are sorted
}

// isNew reports whether a path has no line yet, and notes that it has one now.
func (p *parser) isNew(name string) bool {
	if p.seen == nil {
		if n := len(p.records); n == 0 || p.records[n-1].Path < name {
			return true
		}
		p.seen = map[string]bool{}
		for i := range p.records {
			p.seen[p.records[i].Path] = true
		}
	}
	known := p.seen[name]
	p.seen[name] = true
	return !known
}

func (p *parser) line(text string) error {
	switch {
	case isConflictMark(text):
		return ErrConflict
	case p.number == 1 && text != header:
		return fmt.Errorf("is %.40q instead of %q: this is not a metadata file, or a newer version of this program wrote it", text, header)
	case p.number == 1 || text == "":
		return nil
	}
	r, err := parseRecord(text)
	if err != nil {
		return err
	}
	if !p.isNew(r.Path) {
		return fmt.Errorf("%s has two lines; keep one of them", r.Path)
	}
	p.records = append(p.records, r)
	return nil
}

// isConflictMark recognises the conflict marks of git, Mercurial and diff3. A
// record cannot begin with one, because it begins with a path.
func isConflictMark(text string) bool {
	for _, mark := range []string{"<<<<<<<", "|||||||", "=======", ">>>>>>>"} {
		if strings.HasPrefix(text, mark) {
			return true
		}
	}
	return false
}

// parseRecord parses one line.
func parseRecord(text string) (Record, error) {
	words := strings.Split(text, " ")
	name, err := unquote(words[0])
	if err != nil {
		return Record{}, fmt.Errorf("the path %q: %w", words[0], err)
	}
	r := Record{Path: name}
	keys := make([]string, 0, len(words))
	for _, word := range words[1:] {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return Record{}, fmt.Errorf("%q is not of the form keyword=value", word)
		}
		if slices.Contains(keys, key) {
			return Record{}, fmt.Errorf("%s= is given twice", key)
		}
		keys = append(keys, key)
		if err := r.set(key, value); err != nil {
			return Record{}, fmt.Errorf("%s=%.80s: %w", key, value, err)
		}
	}
	return r, r.check(keys)
}

func (r *Record) set(key, value string) (err error) {
	switch key {
	case "type":
		r.Type, err = parseType(value)
	case "link":
		r.Type = images.HardLink
		r.Link, err = unquote(value)
	case "device":
		err = r.setDevice(value)
	case "uid":
		r.UID, err = parseID(value)
	case "gid":
		r.GID, err = parseID(value)
	case "mode":
		r.HasMode = true
		r.Mode, err = parseMode(value)
	default:
		name, ok := strings.CutPrefix(key, xattrKey)
		if !ok {
			return errors.New("is an unknown keyword: perhaps a newer version of this program wrote the file")
		}
		err = r.setXattr(name, value)
	}
	return err
}

func (r *Record) setXattr(name, value string) error {
	name, err := unquote(name)
	if err != nil {
		return err
	}
	data, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil {
		return errors.New("is not base64")
	}
	if r.Xattrs == nil {
		r.Xattrs = map[string]string{}
	}
	r.Xattrs[name] = string(data)
	return nil
}

func (r *Record) setDevice(value string) error {
	major, minor, ok := strings.Cut(value, ",")
	a, errA := strconv.ParseUint(major, 10, 32)
	b, errB := strconv.ParseUint(minor, 10, 32)
	if !ok || errA != nil || errB != nil {
		return errors.New("is not two numbers, such as 1,3")
	}
	r.Major, r.Minor = uint32(a), uint32(b)
	return nil
}

func parseType(word string) (images.Type, error) {
	switch word {
	case wordDir:
		return images.Directory, nil
	case wordChar:
		return images.CharDevice, nil
	case wordBlock:
		return images.BlockDevice, nil
	case wordFIFO:
		return images.FIFO, nil
	}
	return 0, errors.New("is not one of dir, char, block, fifo")
}

// maxID is the largest user or group number that a file can have.
const maxID = 1<<32 - 2

func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxID {
		return 0, fmt.Errorf("is not a number up to %d", uint32(maxID))
	}
	return uint32(n), nil
}

func parseMode(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o7777 {
		return 0, errors.New("is not an octal number up to 07777")
	}
	return uint32(n), nil
}
