//go:build unix

package worktree

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/atomicfile"
	"cloudlets/images/metadata"
)

// state is what a run leaves in the repository for the next one, in case it is
// interrupted. It is a folder within the repository's own folder.
type state struct {
	folder string
	lock   *os.File
	// fresh means that this is the first run in the repository, so the files
	// may be as the bare tool made them.
	fresh bool
}

// The files of the state.
const (
	stateFolder = "cloudlets"
	lockFile    = "lock"
	pendingFile = "pending" // the metadata before a run that changes files
	namesFile   = "names"   // the files with another name while the tool works
	seenFile    = "seen"    // what the last status saw
	ignoreFile  = "ignore"  // the volatile paths; it stays if no file had another name
)

// openState opens the state in the repository's own folder. Only one run at a
// time can have it open.
func openState(repository string) (*state, error) {
	s := &state{folder: filepath.Join(repository, stateFolder)}
	if err := os.Mkdir(s.folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	_, err := os.Lstat(s.file(lockFile))
	s.fresh = errors.Is(err, fs.ErrNotExist)
	s.lock, err = os.OpenFile(s.file(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		err = fmt.Errorf("lock %s: %w: another run uses this repository; wait until it ends", s.file(lockFile), err)
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

// clock returns the time by the clock of the filesystem that has the state, which may be
// another computer's, or by this computer's if that is earlier.
func (s *state) clock() time.Time {
	now := time.Now()
	if s == nil {
		return now
	}
	var st unix.Stat_t
	if s.lock.Chmod(0o600) == nil && unix.Fstat(int(s.lock.Fd()), &st) == nil { // that sets the time of change
		if at := time.Unix(st.Ctim.Unix()); at.Before(now) {
			return at
		}
	}
	return now
}

func (s *state) file(name string) string { return filepath.Join(s.folder, name) }

// close ends the run. It unlocks explicitly, because a child process that was
// just started also holds the lock until it executes its program.
func (s *state) close() error {
	return errors.Join(unix.Flock(int(s.lock.Fd()), unix.LOCK_UN), s.lock.Close())
}

func (s *state) remove(name string) error {
	if err := os.Remove(s.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// setPending records the metadata from before the files are changed. The record
// stays until the files match the metadata again.
func (s *state) setPending(before metadata.File) error {
	if _, ok, err := s.pending(); ok || err != nil {
		return err // keep the older record, which was not applied yet
	}
	var text bytes.Buffer
	if _, err := before.WriteTo(&text); err != nil {
		return err
	}
	return writeFile(s.file(pendingFile), text.Bytes())
}

// pending returns the recorded metadata, if there is any.
func (s *state) pending() (metadata.File, bool, error) {
	text, err := os.ReadFile(s.file(pendingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return metadata.File{}, false, nil
	}
	if err != nil {
		return metadata.File{}, false, err
	}
	f, err := metadata.Parse(bytes.NewReader(text))
	return f, true, err
}

// setNames records the paths in the image that have another name.
func (s *state) setNames(paths []string) error {
	var text strings.Builder
	for _, p := range paths {
		text.WriteString(strconv.Quote(p) + "\n")
	}
	return writeFile(s.file(namesFile), []byte(text.String()))
}

func (s *state) names() ([]string, error) {
	text, err := os.ReadFile(s.file(namesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var paths []string
	for line := range strings.Lines(string(text)) {
		p, err := strconv.Unquote(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.file(namesFile), err)
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// setIgnored writes the ignore file, unless it has this text already.
func (s *state) setIgnored(text string) error {
	if now, err := os.ReadFile(s.file(ignoreFile)); err == nil && string(now) == text {
		return nil
	}
	return os.WriteFile(s.file(ignoreFile), []byte(text), 0o600)
}

// writeFile writes a small file completely or not at all.
func writeFile(name string, text []byte) error {
	return atomicfile.Write(name, 0o600, atomicfile.Text(text))
}
