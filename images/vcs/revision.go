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
)

// Revision is one revision of a repository as an image's files. It never
// changes. Several goroutines may read from it.
type Revision struct {
	*metadata.View

	// Kind is what the repository is of.
	Kind Kind
	// ID is the revision's full hash, in hexadecimal digits.
	ID string
	// Time is when it was committed; it is that of all its files.
	Time  time.Time
	close func() error
}

var (
	_ images.Source = (*Revision)(nil)
	_ images.Tree   = (*Revision)(nil)
)

// newRevision puts the metadata of a revision around its files.
func newRevision(kind Kind, id string, t *tree, close func() error) (*Revision, error) {
	file, err := treeMetadata(t)
	if err != nil {
		return nil, errors.Join(err, close())
	}
	return &Revision{View: metadata.Wrap(t, file), Kind: kind, ID: id, Time: t.time, close: close}, nil
}

// treeMetadata reads the metadata file of a revision. One that has none was
// made without this program, and everything in it is the default.
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

// Fingerprint identifies the revision: 64 hexadecimal digits, made of the
// system's own hash.
func (r *Revision) Fingerprint(context.Context) (string, error) {
	sum := sha256.Sum256([]byte(string(r.Kind) + ":" + r.ID))
	return hex.EncodeToString(sum[:]), nil
}

// Close ends what reads the repository. Files that are open are closed before.
func (r *Revision) Close() error { return r.close() }
