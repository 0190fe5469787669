//go:build unix

package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"cloudlets/images/metadata"
)

// tool is the interface to git or Mercurial when it works on an image. The
// tools know the metadata file as metadataName.
type tool interface {
	// folder returns the folder with the repository's own files.
	folder(ctx context.Context) (string, error)
	// prepare writes what must be in the repository before the tool works.
	prepare(ctx context.Context) error
	// tracked returns the files in the repository, with the names that the tool
	// uses.
	tracked(ctx context.Context) ([]string, error)
	// stage adds the metadata file to the next revision.
	stage(ctx context.Context, tracked bool) error
	// committed returns the metadata of the revision on which the tree is
	// based.
	committed(ctx context.Context) metadata.File
	// ownersChanged is called after files got the owners of a metadata file.
	ownersChanged(file metadata.File)
	// options returns the options that come before the user's arguments. making
	// is set if the command makes the repository, which then cannot be named
	// yet.
	options(ignore string, making bool) []string
	// env returns additional environment variables for the tool.
	env() []string
	// pattern returns a line of an ignore file. It matches one path or, if all
	// is set, the contents of that path.
	pattern(p string, all bool) string
	// resolved returns the command that marks a conflict as resolved.
	resolved() string
	// alias returns the words for which a name stands, or nothing. global are
	// the user's options that precede it.
	alias(ctx context.Context, global []string, name string) []string
	// revision returns a name of a revision that does not change. "" stands for
	// itself: what the tree is compared with.
	revision(ctx context.Context, name string) (string, error)
	// recorded returns the metadata of a revision. They are empty if the
	// revision has no metadata file.
	recorded(ctx context.Context, revision string) (metadata.File, error)
	// selected returns the files of a revision that arguments select. Without
	// arguments these are all files. global are the user's options that precede
	// the name of the command.
	selected(ctx context.Context, global []string, revision string, args []string) ([]string, error)
	// differing returns the files whose content differs from a revision.
	differing(ctx context.Context, revision string) ([]string, error)
	// stageText puts a metadata file that is not in the tree into git's index.
	stageText(ctx context.Context, text string) error
}

// metadataName is the tools' name of the metadata file.
const metadataName = ".cloudlet/metadata"

// errUnreadable means that a revision has a metadata file that cannot be read.
var errUnreadable = errors.New("the metadata file of the revision is damaged")

// parseRecorded parses the metadata file of a revision.
func parseRecorded(text []byte) (metadata.File, error) {
	f, err := metadata.ParseBranch(bytes.NewReader(text))
	if err != nil {
		return f, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return f, nil
}

// parseCommitted parses the tool's version of the metadata file. If that fails,
// the result is empty, since it only says what may be removed.
func parseCommitted(text []byte, err error) metadata.File {
	if err != nil {
		return metadata.File{}
	}
	f, err := metadata.ParseBranch(bytes.NewReader(text))
	if err != nil {
		return metadata.File{}
	}
	return f
}

// paths splits a list of strings that end with zero bytes.
func paths(list []byte) []string {
	list = bytes.TrimSuffix(list, []byte{0})
	if len(list) == 0 {
		return nil
	}
	return strings.Split(string(list), "\x00")
}
