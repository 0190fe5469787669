package metadata

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Merge writes what becomes of a metadata file that two branches changed, and
// lists the paths that both changed differently. Each of those stands in the
// text with the marks of a conflict, for a person to choose; all others are
// merged, also where their lines are next to one another.
func Merge(w io.Writer, base, ours, theirs File) (conflicts []string, err error) {
	b, o, t := base.lines(), ours.lines(), theirs.lines()
	all := maps.Clone(o)
	maps.Copy(all, t)
	out := []string{header}
	for _, p := range slices.Sorted(maps.Keys(all)) {
		switch {
		case o[p] == t[p], t[p] == b[p]:
			out = append(out, o[p])
		case o[p] == b[p]:
			out = append(out, t[p])
		default:
			conflicts = append(conflicts, p)
			out = append(out, "<<<<<<< ours", o[p], "=======", t[p], ">>>>>>> theirs")
		}
	}
	var text bytes.Buffer
	for _, line := range out {
		if line != "" { // no line: the path is the default
			text.WriteString(line + "\n")
		}
	}
	if _, err := w.Write(text.Bytes()); err != nil {
		return nil, fmt.Errorf("write the merged metadata: %w", err)
	}
	return conflicts, nil
}

// lines are the file's lines by path.
func (f File) lines() map[string]string {
	lines := make(map[string]string, len(f.records))
	for i := range f.records {
		lines[f.records[i].Path] = f.records[i].text()
	}
	return lines
}

// ParseBranch is [Parse] for a version that is to be merged: an empty one
// says nothing, as a file that only one of two branches has.
func ParseBranch(r io.Reader) (File, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return File{}, fmt.Errorf("read a version of %s: %w", Path, err)
	}
	if strings.TrimSpace(string(text)) == "" {
		return File{}, nil
	}
	return Parse(bytes.NewReader(text))
}
