package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"cloudlets/cmd/cloudlets/daemon"
	"cloudlets/images/atomicfile"
	"cloudlets/provision/members"
	"cloudlets/provision/site/keys"
	"cloudlets/provision/store"
	"cloudlets/provision/store/etcd"
)

// toEtcd puts a backup into etcd, after prepare has changed a copy of it. It
// returns the file with what was there, "" if nothing was.
func (f restoreFlags) toEtcd(ctx context.Context, s keys.Settings, backup string, prepare func(store.Store) error) (kept string, err error) {
	options, err := daemon.EtcdOptions(s.Store)
	if err != nil {
		return "", fmt.Errorf("restore the store in etcd: %w", err)
	}
	dir, err := os.MkdirTemp("", "cloudlets-restore-")
	if err != nil {
		return "", fmt.Errorf("restore the store in etcd: copy the backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, store.FileName)
	if _, err := store.Restore(ctx, backup, path, prepare); err != nil {
		return "", err
	}
	content, err := store.OpenFile(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	how := etcd.Restoring{Refuse: members.NoneAlive}
	if f.force {
		how.Keep = func(write func(io.Writer) error) (err error) {
			kept, err = keepReplaced(s.State, write)
			return err
		}
	}
	err = etcd.Restore(ctx, options, content, how)
	if errors.Is(err, etcd.ErrNotEmpty) {
		err = fmt.Errorf("%w: --force replaces it, and keeps a copy of it in %s", err, s.State)
	}
	return kept, err
}

// keepReplaced makes a file in the state folder under a name that no other has,
// and returns that.
func keepReplaced(state string, write func(io.Writer) error) (string, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return "", fmt.Errorf("keep what was there: %w", err)
	}
	for n := 1; ; n++ {
		name := filepath.Join(state, fmt.Sprintf("%s.replaced-%d", store.FileName, n))
		if _, err := os.Lstat(name); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("keep what was there: %w", err)
		}
		err := atomicfile.Write(name, 0o600, func(f *os.File) error { return write(f) })
		if err != nil {
			return "", fmt.Errorf("keep what was there as %s: %w", name, err)
		}
		return name, nil
	}
}
