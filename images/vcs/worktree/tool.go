//go:build unix

package worktree

import (
	"bytes"
	"context"
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
	// alias returns the command for which a name stands, or "".
	alias(ctx context.Context, name string) string
}

// metadataName is the tools' name of the metadata file.
const metadataName = ".cloudlet/metadata"

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
