package vcs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"time"

	"cloudlets/images"
	"cloudlets/images/metadata"
	"cloudlets/images/metadata/trees"
)

// Revision gives access to one revision of a repository as the files of an
// image. It is immutable, and several goroutines may read from it.
type Revision struct {
	*trees.View

	// Kind is the kind of the repository.
	Kind Kind
	// ID is the revision's full hash, in hexadecimal digits.
	ID string
	// Time is when the revision was committed. All its files have this time.
	Time  time.Time
	close func() error
}

var (
	_ images.Source = (*Revision)(nil)
	_ images.Tree   = (*Revision)(nil)
)

// newRevision applies the metadata of a revision to its files.
func newRevision(kind Kind, id string, t *tree, close func() error) (*Revision, error) {
	file, err := treeMetadata(t)
	if err != nil {
		return nil, errors.Join(err, close())
	}
	return &Revision{View: trees.Wrap(t, file), Kind: kind, ID: id, Time: t.time, close: close}, nil
}

// treeMetadata reads the metadata file of a revision. A revision without one
// was made without this program, so all its files have default metadata.
func treeMetadata(t *tree) (metadata.File, error) {
	r, err := t.Open(metadata.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return metadata.File{}, nil
	}
	if err != nil {
		return metadata.File{}, err
	}
	file, err := metadata.Parse(r)
	return file, errors.Join(err, r.Close())
}

// Fingerprint identifies the revision by 64 hexadecimal digits, which depend on
// the revision's hash.
func (r *Revision) Fingerprint(context.Context) (string, error) {
	sum := sha256.Sum256([]byte(string(r.Kind) + ":" + r.ID))
	return hex.EncodeToString(sum[:]), nil
}

// Close ends the processes that read the repository. Close all open files
// before.
func (r *Revision) Close() error { return r.close() }
