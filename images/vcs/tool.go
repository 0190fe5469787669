//go:build unix

package vcs

import (
	"bytes"
	"context"
	"strings"

	"cloudlets/images/metadata"
)

// tool is what is different between git and Mercurial when one of them works
// on an image. The metadata file is called by metadataName.
type tool interface {
	// folder is where the repository keeps its own files.
	folder(ctx context.Context) (string, error)
	// prepare writes what must be in the repository before the tool works.
	prepare(ctx context.Context) error
	// tracked lists the files in the repository, as the tool calls them.
	tracked(ctx context.Context) ([]string, error)
	// stage has the metadata file be in the next revision.
	stage(ctx context.Context, tracked bool) error
	// committed is the metadata of the revision that the tree stems from.
	committed(ctx context.Context) metadata.File
	// options go before the arguments of a person. Without a repository yet,
	// which making says, there is none to name.
	options(ignore string, making bool) []string
	// env is what the tool's environment has besides.
	env() []string
	// pattern is a line of an ignore file for one path, and with all for
	// what is in it instead.
	pattern(p string, all bool) string
	// resolved is the command that says that a conflict is resolved.
	resolved() string
	// alias is the command that a name stands for; "" is none.
	alias(ctx context.Context, name string) string
}

// metadataName is what the tools call the metadata file.
const metadataName = ".cloudlet/metadata"

// parseCommitted reads what the tool has of the metadata file. Whatever
// cannot be read counts as nothing: it only says what may be removed.
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

// paths splits a list that ends in zeros.
func paths(list []byte) []string {
	list = bytes.TrimSuffix(list, []byte{0})
	if len(list) == 0 {
		return nil
	}
	return strings.Split(string(list), "\x00")
}
