package worktree

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"cloudlets/images/metadata"
)

// MergeFiles merges two versions of a metadata file that have a common
// ancestor, and writes the result. All four arguments are names of files. It
// returns the paths in conflict, which are marked in the result. See
// [Options.Merge].
func MergeFiles(base, ours, theirs, result string) (conflicts []string, err error) {
	var versions [3]metadata.File
	for i, name := range []string{base, ours, theirs} {
		if versions[i], err = readVersion(name); err != nil {
			return nil, fmt.Errorf("merge %s: %w", metadata.Path, err)
		}
	}
	var text bytes.Buffer
	if conflicts, err = metadata.Merge(&text, versions[0], versions[1], versions[2]); err != nil {
		return nil, err
	}
	if err := os.WriteFile(result, text.Bytes(), 0o644); err != nil {
		return nil, fmt.Errorf("merge %s: %w", metadata.Path, err)
	}
	return conflicts, nil
}

func readVersion(name string) (metadata.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return metadata.File{}, err
	}
	file, err := metadata.ParseBranch(f)
	return file, errors.Join(err, f.Close())
}
