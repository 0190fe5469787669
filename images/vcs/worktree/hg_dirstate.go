//go:build unix

package worktree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// dirstateHead is the length of the hashes of both parents in bytes.
const dirstateHead = 40

// dirstateRow is the length of the part of a row before the name: state, mode,
// size, time, and length of the name.
const dirstateRow = 1 + 4*4

// errDirstate means that the list of files has an unknown format.
var errDirstate = errors.New("the dirstate is not of version 1")

// readDirstate returns the files that a Mercurial working copy tracks. It
// parses version 1 of Mercurial's own list, because starting the program takes
// a fifth of a second.
func readDirstate(repository string) ([]string, error) {
	requires, err := os.ReadFile(filepath.Join(repository, "requires"))
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(bytes.Fields(requires), func(w []byte) bool {
		return bytes.HasPrefix(w, []byte("dirstate-")) || bytes.Contains(w, []byte("sparse"))
	}) {
		return nil, errDirstate
	}
	text, err := os.ReadFile(filepath.Join(repository, "dirstate"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseDirstate(text)
}

func parseDirstate(text []byte) ([]string, error) {
	if len(text) < dirstateHead {
		return nil, errDirstate
	}
	var files []string
	for text = text[dirstateHead:]; len(text) > 0; {
		if len(text) < dirstateRow {
			return nil, errDirstate
		}
		state, n := text[0], binary.BigEndian.Uint32(text[dirstateRow-4:])
		text = text[dirstateRow:]
		if uint64(n) > uint64(len(text)) {
			return nil, errDirstate
		}
		name, _, _ := bytes.Cut(text[:n], []byte{0}) // the source of a copy may follow
		text = text[n:]
		if state != 'r' { // removed
			files = append(files, string(name))
		}
	}
	return files, nil
}
