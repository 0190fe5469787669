//go:build unix

package worktree

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images/metadata"
	"cloudlets/images/vcs"
	"cloudlets/images/vcs/commands"
)

// takenFile is the file of the state that has a [taken].
const takenFile = "taken"

// taken is what a command takes from a revision, as it was before the command.
// It is in the state, because an interrupted run leaves the files of the
// revision in place, and the next run has to know whose metadata they have.
type taken struct {
	// Before is the text of the metadata of the tree, Source that of the
	// revision.
	Before, Source string
	// Paths maps each path in the image that the command may write to the
	// identity of the file that was there, or to "".
	Paths map[string]string
	// Folders are the directories that the command has to make.
	Folders []string
	// Files, Index and Parts are those of [commands.Taking].
	Files, Index, Parts bool
	// Revision is the resolved revision, or "" for the index.
	Revision string
}

// prepareTaking finds out what the command takes. It returns nil if the command
// does not take files one by one, or if the tool will refuse it.
func (s *session) prepareTaking(ctx context.Context, v *view) (*taken, error) {
	isRevision := func(word string) bool {
		_, err := s.tool.revision(ctx, word)
		return err == nil
	}
	what := s.asked.Taking(isRevision)
	if what == nil {
		return nil, nil
	}
	revision, err := s.tool.revision(ctx, what.Revision)
	if err != nil {
		return nil, nil //nolint:nilerr // the tool says that there is no such revision
	}
	if err := s.readList(what); err != nil {
		return nil, err
	}
	names, err := s.tool.selected(ctx, s.asked.Global, revision, what.Paths)
	if err != nil || len(names) == 0 {
		return nil, nil //nolint:nilerr // the tool says what is wrong with the paths; or a word that is no path is a branch
	}
	source, err := s.tool.recorded(ctx, revision)
	if err != nil {
		return nil, fmt.Errorf("read the metadata of the revision %q: %w", what.Revision, err)
	}
	t := &taken{
		Before: text(v.file), Source: text(source), Paths: map[string]string{},
		Files: what.Files, Index: what.Index, Parts: what.Parts, Revision: revision,
	}
	return t, t.look(s.Dir, names)
}

// look notes what is now in the place of each file.
func (t *taken) look(dir string, names []string) error {
	missing := map[string]bool{}
	for _, name := range names {
		p, err := vcs.UnescapePath(name)
		if err != nil {
			return err
		}
		t.Paths[p] = identity(dir, p)
		for up := path.Dir(p); up != "/" && !missing[up] && !exists(dir, up); up = path.Dir(up) {
			missing[up] = true
			t.Folders = append(t.Folders, up)
		}
	}
	return nil
}

// identity changes when a tool writes a file: both make a new file. It is "" if
// there is no file.
func identity(dir, p string) string {
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, p), &st); err != nil {
		return ""
	}
	return fmt.Sprintf("%d %d %d %d", st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec)
}

func text(f metadata.File) string {
	var b strings.Builder
	_, _ = f.WriteTo(&b) // a strings.Builder does not fail
	return b.String()
}

// maxList is the maximum size in bytes of a file that lists paths.
const maxList = 64 << 20

// readList adds the paths of a file to those of the command line. Standard
// input is kept for the tool, which reads it as well.
func (s *session) readList(t *commands.Taking) error {
	if t.List == "" {
		return nil
	}
	var data []byte
	var err error
	if t.List == "-" && s.Stdin != nil {
		data, err = io.ReadAll(io.LimitReader(s.Stdin, maxList+1))
		s.Stdin = bytes.NewReader(data)
	} else if data, err = readBounded(filepath.Join(s.folder(), t.List), t.List); errors.Is(err, fs.ErrNotExist) {
		return nil // the tool says so
	}
	if err == nil && len(data) > maxList {
		err = fmt.Errorf("it is larger than %d bytes", maxList)
	}
	if err != nil {
		return fmt.Errorf("read the list of paths %s: %w", t.List, err)
	}
	if t.Zeroed {
		t.Paths = append(t.Paths, paths(data)...)
	} else {
		t.Paths = append(t.Paths, commands.SplitLines(data)...)
	}
	return nil
}

// readBounded reads a file of at most a little more than maxList bytes. An
// absolute name stands for itself.
func readBounded(joined, name string) ([]byte, error) {
	if filepath.IsAbs(name) {
		joined = name
	}
	f, err := os.Open(joined)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxList+1))
}

// folder is the directory in which git starts, after its options -C.
func (s *session) folder() string {
	dir := s.Dir
	for i, arg := range s.asked.Global {
		if arg == "-C" && i+1 < len(s.asked.Global) {
			if filepath.IsAbs(s.asked.Global[i+1]) {
				dir = ""
			}
			dir = filepath.Join(dir, s.asked.Global[i+1])
		}
	}
	return dir
}

func (s *session) setTaken(t *taken) error {
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return writeFile(s.state.file(takenFile), data)
}

// readTaken returns what an interrupted command took, or nil.
func (s *session) readTaken() (*taken, error) {
	data, err := os.ReadFile(s.state.file(takenFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := new(taken)
	if err := json.Unmarshal(data, t); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.state.file(takenFile), err)
	}
	return t, nil
}

// settleTaken gives the files that the command took the metadata of their
// revision, and all others what they had. done means that the command
// succeeded; then files that it did not have to write count as taken, too.
func (s *session) settleTaken(ctx context.Context, t *taken, done bool) error {
	before, err := metadata.Parse(strings.NewReader(t.Before))
	if err != nil {
		return err
	}
	source, err := metadata.Parse(strings.NewReader(t.Source))
	if err != nil {
		return err
	}
	own, err := s.takenPaths(ctx, t, done)
	if err != nil {
		return err
	}
	if t.Files {
		result := t.mix(before, source, own)
		if _, err := metadata.Write(s.Dir, result); err != nil {
			return err
		}
		made, _, err := s.state.pending()
		if err != nil {
			return err
		}
		if err := s.applyTo(ctx, made, result, own); err != nil {
			return err
		}
	}
	if t.Index && done && !t.Parts && !own[metadata.Path] {
		if err := s.takeIndex(ctx, t, source); err != nil {
			return err
		}
	}
	return s.state.remove(takenFile)
}

// takenPaths returns the paths that are as in the revision now.
func (s *session) takenPaths(ctx context.Context, t *taken, done bool) (map[string]bool, error) {
	differ := map[string]bool{}
	if t.Parts {
		names, err := s.tool.differing(ctx, t.Revision)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if p, err := vcs.UnescapePath(name); err == nil {
				differ[p] = true
			}
		}
	}
	own := map[string]bool{}
	for p, before := range t.Paths {
		now := identity(s.Dir, p)
		switch {
		case now == "":
		case now != before:
			own[p] = before == "" || !differ[p]
		default:
			own[p] = done && !t.Parts
		}
	}
	return own, nil
}

// mix puts together the metadata of the tree after the command. If the command
// took the metadata file as well, the whole tree is as in the revision, but for
// the files that it did not take.
func (t *taken) mix(before, source metadata.File, own map[string]bool) metadata.File {
	made := map[string]bool{}
	for _, p := range t.Folders {
		made[p] = true
	}
	if !own[metadata.Path] {
		return before.Take(source, func(p string) bool { return own[p] || made[p] })
	}
	within := map[string]bool{}
	for p := range own {
		for up := path.Dir(p); !within[up]; up = path.Dir(up) {
			within[up] = true
		}
	}
	return source.Take(before, func(p string) bool {
		r, recorded := before.Lookup(p)
		_, named := t.Paths[p]
		return recorded && r.Type == 0 && !own[p] && !within[p] || named && !own[p]
	})
}

// takeIndex puts the same metadata into git's index, so that a file which is
// taken from there later has them.
func (s *session) takeIndex(ctx context.Context, t *taken, source metadata.File) error {
	index, err := s.tool.recorded(ctx, "")
	if err != nil {
		return err
	}
	mixed := index.Take(source, func(p string) bool { _, named := t.Paths[p]; return named })
	if mixed.Equal(index) {
		return nil
	}
	return s.tool.stageText(ctx, text(mixed))
}
