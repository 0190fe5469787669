//go:build unix

package worktree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"cloudlets/images/metadata/trees"
	"cloudlets/images/vcs"
)

// A status leaves in the file [seenFile] from what it concluded that git may see the
// tree as it is. If all of that is the same the next time, so is the conclusion, and
// the tree's attributes need not be read. The file has two digests, of what the
// conclusion depends on besides the tree and of the marks, and then the tree's marks
// (see [trees.Unchanged]).

// seenVersion is part of the first digest. It changes with the form of the file.
const seenVersion = "cloudlets seen 2\n"

// seenDigest digests what the conclusion depends on besides the tree: this program, the
// user's rights, the ignore file, the state of the metadata file when it was read, and
// the repository's list of files.
func (s *session) seenDigest(c *contents, ignore string) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s%s\n%s\n%s\n", seenVersion, program(), rights(), s.metadataState)
	write := func(text string) {
		_ = binary.Write(h, binary.LittleEndian, uint32(len(text))) // hashes take everything
		_, _ = io.WriteString(h, text)
	}
	write(ignore)
	var names bytes.Buffer
	for _, name := range c.names.sorted {
		names.WriteString(name)
		names.WriteByte(0)
	}
	for _, name := range slices.Sorted(maps.Keys(c.escaped)) {
		names.WriteString(name)
		names.WriteByte(0)
	}
	write(names.String())
	return h.Sum(nil)
}

// saveSeen leaves a conclusion for the next status. That it cannot is no error: the
// next one then looks at all again.
func (s *session) saveSeen(v *view, ignore string) {
	var marks []byte
	if v.marks != nil && s.metadataOld(v.began) {
		marks = v.marks.Text(v.began)
	}
	v.marks = nil
	if marks == nil {
		_ = s.state.remove(seenFile)
		return
	}
	sum := sha256.Sum256(marks)
	text := slices.Concat(s.seenDigest(v.contents, ignore), sum[:], marks)
	_ = os.WriteFile(s.state.file(seenFile), text, 0o600)
}

// asSeen reports whether the conclusion of the last status holds for the tree, and with
// it the guess of an early run.
func (s *session) asSeen(ctx context.Context, e *early) (bool, error) {
	text, err := os.ReadFile(s.state.file(seenFile))
	if err != nil || len(text) < 2*sha256.Size {
		return false, nil
	}
	digest, sum, marks := text[:sha256.Size], text[sha256.Size:2*sha256.Size], text[2*sha256.Size:]
	var (
		both errgroup.Group
		same bool
	)
	both.Go(func() error {
		c, err := s.contents(ctx)
		if err != nil {
			return err
		}
		found := sha256.Sum256(marks)
		same = bytes.Equal(s.seenDigest(c, e.ignore), digest) && bytes.Equal(found[:], sum)
		return nil
	})
	unchanged, err := trees.Unchanged(ctx, s.Dir, marks)
	if err != nil && ctx.Err() == nil {
		unchanged, err = false, nil // whoever looks at all tells what is wrong
	}
	if err := errors.Join(both.Wait(), err); err != nil {
		return false, err
	}
	return same && unchanged, nil
}

// program tells one build of this program from others.
func program() string {
	name, err := os.Executable()
	if err != nil {
		return ""
	}
	state, _ := fileState(name)
	return state
}

// rights tells what of a tree this process may see, and by which numbers: in a user
// namespace files seem to have other owners, and some attributes are not seen.
func rights() string {
	text := fmt.Sprintln(os.Geteuid(), os.Getegid())
	ids, _ := os.ReadFile("/proc/self/uid_map") // elsewhere there are no namespaces
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "CapEff:") {
			text += line
		}
	}
	return text + string(ids)
}

// metadataOld reports whether the image's metadata file shows by its time of change if it
// changes after a time.
func (s *session) metadataOld(at time.Time) bool {
	var st unix.Stat_t
	err := unix.Lstat(filepath.Join(s.Dir, metadataName), &st)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	changed := time.Unix(st.Ctim.Unix())
	return trees.IsOld(changed, changed.Nanosecond() == 0, at)
}

// fileState tells one state of a file from others. It is "" if there is no file.
func fileState(name string) (string, error) {
	var st unix.Stat_t
	err := unix.Lstat(name, &st)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return fmt.Sprint(st.Dev, st.Ino, st.Ctim.Nano(), st.Size), err
}

// isStatus reports whether the command is a status of git. For a page of its manual git
// starts other programs.
func (s *session) isStatus() bool {
	return s.Kind == vcs.Git && s.asked.Name == "status" && !slices.Contains(s.asked.Args, "--help") && !slices.Contains(s.asked.Args, "-h")
}

// metadataFileState is the state of the image's metadata file.
func (s *session) metadataFileState() (string, error) {
	return fileState(filepath.Join(s.Dir, metadataName))
}
