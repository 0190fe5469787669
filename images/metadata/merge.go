package metadata

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Merge merges the changes of two branches to a metadata file. It writes the
// result and returns the paths that the branches changed in different ways. For
// each of these the text contains both lines with conflict marks, so that a
// person can choose. All other changes are merged, even if their lines are
// adjacent.
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
		if line != "" { // without a line, the path has the default metadata
			text.WriteString(line + "\n")
		}
	}
	if _, err := w.Write(text.Bytes()); err != nil {
		return nil, fmt.Errorf("write the merged metadata: %w", err)
	}
	return conflicts, nil
}

// lines returns the lines of the file by path.
func (f File) lines() map[string]string {
	lines := make(map[string]string, len(f.records))
	for i := range f.records {
		lines[f.records[i].Path] = f.records[i].text()
	}
	return lines
}

// ParseBranch is [Parse] for one of the versions of a merge. Unlike Parse it
// accepts an empty text, which a version has if only the other branch has the
// file.
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
