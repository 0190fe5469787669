package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// lockTimeout is how long opening a store waits for another process that has it
// open, since that may be about to end.
const lockTimeout = 2 * time.Second

// File is a [Store] in one file, for one process at a time.
type File struct {
	db        *bbolt.DB
	followers Followers

	committing sync.Mutex // held during each write, guards released
	released   time.Time  // when pages of the file were last given back

	mu      sync.Mutex // guards the fields below
	writing bool       // one of those who wait writes for all
	waiting queue
}

var _ Store = (*File)(nil)

// OpenFile opens the store in the file at path. It makes the file if there is
// none, readable only by its owner. If another process has the file open, the
// error names that process.
func OpenFile(path string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open store %s: make its folder: %w", path, err)
	}
	db, err := openLocked(path)
	if err != nil {
		return nil, openError(path, err)
	}
	if err := upgrade(db); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), db.Close())
	}
	return &File{db: db}, nil
}

// initialMap is how many bytes of addresses a store has from the start. When it
// outgrows them, a write waits for all readers, and a backup may read for long.
const initialMap = 1 << 30

// openLocked opens the file that is at path once its lock is there: while this
// process waited for the lock, another one may have put a new file in its place
// (see [Restore]).
func openLocked(path string) (*bbolt.DB, error) {
	for {
		var opened *os.File
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:         lockTimeout,
			FreelistType:    bbolt.FreelistMapType,
			NoFreelistSync:  true,
			InitialMmapSize: initialMap,
			OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
				f, err = os.OpenFile(name, flag, mode)
				opened = f
				return f, err
			},
		})
		if err != nil {
			return nil, err
		}
		mine, err := opened.Stat()
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
		if there, err := os.Stat(path); err == nil && os.SameFile(mine, there) {
			return db, nil
		}
		if err := db.Close(); err != nil {
			return nil, err
		}
	}
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("open store %s: %s has it open; stop that process, or give this one a state folder of its own: %w", path, lockHolder(path), err)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return fmt.Errorf("open store %s: the file is damaged or is not a store; move it away to begin with an empty one: %w", path, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("open store %s: %w: the kernel makes a filesystem read-only when its disk fails, and dmesg says so; mend it and mount it for writing, or name another state folder", path, err)
	default:
		return fmt.Errorf("open store %s: %w", path, err)
	}
}

// Close waits for running transactions and closes the file.
func (s *File) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store %s: %w", s.db.Path(), err)
	}
	return nil
}

// View implements [Store].
func (s *File) View(ctx context.Context, read func(Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.db.View(func(tx *bbolt.Tx) error { return read(boltTx{tx, nil}) })
}

// Update implements [Store]. A durable write takes milliseconds however small it
// is, so transactions that wait for one share the next, as far as it has room. Those
// with [Urgent] come first.
func (s *File) Update(ctx context.Context, write func(Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u := &update{ctx: ctx, write: write, urgent: isUrgent(ctx), turn: make(chan bool, 1)}
	s.mu.Lock()
	s.waiting.add(u)
	mine := !s.writing
	s.writing = true
	s.mu.Unlock()
	if !mine {
		mine = <-u.turn
	}
	if mine {
		s.writeBatch(u)
	}
	if u.panicked != nil {
		panic(u.panicked)
	}
	return u.err
}

// Limits implements [Store].
func (s *File) Limits() Limits { return unlimited }

// Follow implements [Store].
func (s *File) Follow(ctx context.Context, f Follower, buckets ...string) (stop func(), err error) {
	s.committing.Lock()
	defer s.committing.Unlock()
	s.followers.Lock()
	defer s.followers.Unlock()
	return s.followers.Add(func(load func(Tx) error) error { return s.View(ctx, load) }, f, buckets)
}

// Announce implements [Store].
func (s *File) Announce(ctx context.Context, key string, value []byte) error {
	return s.Update(ctx, func(tx Tx) error { return tx.Put(Announced, key, value) })
}

type boltTx struct {
	tx      *bbolt.Tx
	changes *[]Change // nil if the transaction only reads
}

func (t boltTx) Get(bucket, key string) ([]byte, error) {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil, nil
	}
	value := b.Get([]byte(key))
	if value == nil {
		return nil, nil
	}
	return append([]byte{}, value...), nil
}

func (t boltTx) GetEach(bucket string, keys []string) ([][]byte, error) {
	return getEach(t, bucket, keys)
}

func (t boltTx) Put(bucket, key string, value []byte) error {
	if err := CheckKey(bucket, key); err != nil {
		return err
	}
	if t.changes == nil {
		return ErrReadOnly
	}
	b, err := t.tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return fmt.Errorf("write bucket %s: %w", bucket, err)
	}
	copied := append([]byte{}, value...)
	*t.changes = append(*t.changes, Change{bucket, key, copied})
	return b.Put([]byte(key), copied)
}

func (t boltTx) Delete(bucket, key string) error {
	if t.changes == nil {
		return ErrReadOnly
	}
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	*t.changes = append(*t.changes, Change{bucket, key, nil})
	return b.Delete([]byte(key))
}

func (t boltTx) Scan(bucket, prefix, from string, visit func(string, []byte) error) error {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	c := b.Cursor()
	for k, v := c.Seek([]byte(max(prefix, from))); k != nil; k, v = c.Next() {
		key := string(k)
		if !strings.HasPrefix(key, prefix) {
			return nil
		}
		if err := visit(key, v); err == ErrStopScan {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}
