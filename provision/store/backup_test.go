package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"cloudlets/provision/store"
)

// The test binary is also the command that checks a store, and one that
// restores backups until it is killed.
const (
	checkVerb   = "check-child"
	restoreVerb = "restore-child"
)

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == checkVerb:
		err := store.Check(os.Args[2])
		switch {
		case errors.Is(err, store.ErrInUse):
			os.Exit(store.ExitInUse)
		case err != nil:
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case len(os.Args) == 5 && os.Args[1] == restoreVerb:
		for i := 0; ; i = 1 - i {
			if _, err := store.Restore(context.Background(), os.Args[2+i], os.Args[4], func(store.Store) error { return nil }); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println("restored")
		}
	}
	os.Exit(m.Run())
}

// check checks a store as the server does.
func check(t *testing.T, path string) error {
	t.Helper()
	return store.CheckApart(t.Context(), []string{os.Args[0], checkVerb}, path)
}

// filledSize is about how many bytes of a filled store are in use. The file is
// larger, since it grows in large steps.
const filledSize = 400 << 10

// filled makes a store of many pages, in which the key "k" has a value.
func filled(t *testing.T, path, value string) {
	t.Helper()
	s, err := store.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(tx store.Tx) error {
		for i := range 3000 {
			if err := tx.Put("b", fmt.Sprintf("key %08d", i), bytes.Repeat([]byte(value[:1]), 100)); err != nil {
				return err
			}
		}
		return tx.Put("b", "k", []byte(value))
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
}

// valueOf reads the key "k" of a store file, which must be whole.
func valueOf(t *testing.T, path string) string {
	t.Helper()
	if err := check(t, path); err != nil {
		t.Fatal(err)
	}
	s, err := store.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return string(getKey(t, s))
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.db")
	filled(t, whole, "value")
	if err := check(t, whole); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string]func([]byte) []byte{
		"half of it":     func(b []byte) []byte { return b[:filledSize/2] },
		"two pages":      func(b []byte) []byte { return b[:8192] },
		"some bytes":     func(b []byte) []byte { return b[:100] },
		"no header":      func(b []byte) []byte { clear(b[:8192]); return b },
		"random bytes":   func(b []byte) []byte { return bytes.Repeat([]byte("not a store "), len(b)/12) },
		"all pages zero": func(b []byte) []byte { clear(b[8192:]); return b },
	}
	for name, spoil := range damage {
		path := filepath.Join(dir, "damaged.db")
		if err := os.WriteFile(path, spoil(bytes.Clone(text)), 0o600); err != nil {
			t.Fatal(err)
		}
		err := check(t, path)
		if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "cloudlets restore") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, content := range map[string][]byte{"absent.db": nil, "empty.db": {}} {
		path := filepath.Join(dir, name)
		if content != nil {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := check(t, path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	openFile(t, whole)
	if err := check(t, whole); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a store that is open: %v", err)
	}
}

// TestDamagedPages: whatever page of a store is damaged, and however, the check
// ends with a verdict, and opening a store that it passes does not panic.
func TestDamagedPages(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.db")
	filled(t, whole, "value")
	text, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		spoilt := bytes.Clone(text)
		page := random.IntN(filledSize/4096) * 4096
		what := "zeroed"
		if i%2 == 0 {
			clear(spoilt[page : page+4096])
		} else {
			what = "with flipped bits"
			for range 8 {
				spoilt[page+random.IntN(64)] ^= 1 << random.IntN(8)
			}
		}
		path := filepath.Join(dir, "spoilt.db")
		if err := os.WriteFile(path, spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		err := check(t, path)
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			t.Errorf("page %d %s: %v", page/4096, what, err)
		}
		if err == nil { // the page was not in use, or the damage is in a value
			s, err := store.OpenFile(path)
			if err != nil {
				t.Errorf("page %d %s: the check passes, and then: %v", page/4096, what, err)
				continue
			}
			s.Close()
		}
	}
}

func TestBackup(t *testing.T) {
	dir := t.TempDir()
	s := openFile(t, filepath.Join(dir, "store.db"))
	putKey(t, s, "before")
	copied, err := os.Create(filepath.Join(dir, "copy.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	changing := writerFunc(func(p []byte) (int, error) { // the store changes while it is copied
		putKey(t, s, "after")
		return copied.Write(p)
	})
	if err := s.Backup(t.Context(), changing); err != nil {
		t.Fatal(err)
	}
	if got := valueOf(t, copied.Name()); got != "before" {
		t.Errorf("the copy has %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ctx, copied); !errors.Is(err, context.Canceled) {
		t.Errorf("a backup that nobody waits for: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestRestore(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "store.db"), filepath.Join(dir, "backup.db")
	filled(t, backup, "old")
	prepare := func(s store.Store) error {
		return s.Update(t.Context(), func(tx store.Tx) error { return tx.Put("b", "prepared", []byte("yes")) })
	}
	if kept, err := store.Restore(t.Context(), backup, path, prepare); kept != "" || err != nil {
		t.Fatal(kept, err)
	}
	if got := valueOf(t, path); got != "old" {
		t.Errorf("restored %q", got)
	}
	putKey(t, reopening(path), "new")
	kept, err := store.Restore(t.Context(), backup, path, prepare)
	if err != nil {
		t.Fatal(err)
	}
	if at, before := valueOf(t, path), valueOf(t, kept); at != "old" || before != "new" {
		t.Errorf("at the place is %q, kept is %q", at, before)
	}
	failing := errors.New("not prepared")
	if _, err := store.Restore(t.Context(), backup, path, func(store.Store) error { return failing }); !errors.Is(err, failing) {
		t.Errorf("got %v", err)
	}
	if parts, _ := filepath.Glob(filepath.Join(dir, ".part-*")); len(parts) > 0 {
		t.Errorf("left behind: %v", parts)
	}
	openFile(t, path)
	if _, err := store.Restore(t.Context(), backup, path, prepare); !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("while the store is open: %v", err)
	}
}

// TestRestoreIsKilled: at whatever instant, a whole store is in its place.
func TestRestoreIsKilled(t *testing.T) {
	dir := t.TempDir()
	path, first, second := filepath.Join(dir, "store.db"), filepath.Join(dir, "first.db"), filepath.Join(dir, "second.db")
	filled(t, first, "first")
	filled(t, second, "second")
	filled(t, path, "zero")
	for range 15 {
		cmd := exec.Command(os.Args[0], restoreVerb, first, second, path)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 100)
		n, err := stdout.Read(line) // it is at work now
		if err != nil || !strings.HasPrefix(string(line[:n]), "restored") {
			t.Errorf("it says %q, %v", line[:n], err)
		}
		time.Sleep(rand.N(30 * time.Millisecond)) // the instant is meant to be random
		cmd.Process.Kill()
		cmd.Wait()
		if got := valueOf(t, path); got != "first" && got != "second" {
			t.Errorf("after the kill the store has %q", got)
		}
	}
}

// reopening is a store that is open only while a transaction runs.
type reopening string

func (r reopening) View(ctx context.Context, f func(store.Tx) error) error {
	s, err := store.OpenFile(string(r))
	if err != nil {
		return err
	}
	return errors.Join(s.View(ctx, f), s.Close())
}

func (r reopening) Update(ctx context.Context, f func(store.Tx) error) error {
	s, err := store.OpenFile(string(r))
	if err != nil {
		return err
	}
	return errors.Join(s.Update(ctx, f), s.Close())
}

// TestVersions: a store without a version is of the first; one of a version that
// is not known yet is refused.
func TestVersions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	set := func(version string) {
		t.Helper()
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			if version == "" {
				return tx.DeleteBucket([]byte("store"))
			}
			b, err := tx.CreateBucketIfNotExists([]byte("store"))
			if err != nil {
				return err
			}
			return b.Put([]byte("format"), []byte(version))
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	filled(t, path, "value")
	for _, version := range []string{"", "1", fmt.Sprint(store.Format)} {
		set(version)
		if got := string(getKey(t, reopening(path))); got != "value" {
			t.Errorf("version %q: %q", version, got)
		}
	}
	set(fmt.Sprint(store.Format + 1))
	_, err := store.OpenFile(path)
	if !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), "use the program that wrote it") {
		t.Errorf("a newer version: %v", err)
	}
	set(fmt.Sprint(store.Format))
	if got := string(getKey(t, reopening(path))); got != "value" {
		t.Errorf("the refused store now has %q", got)
	}
}

// TestASlowBackupHoldsUpNobody: while somebody reads a backup and stops in the
// middle, the store can be written, also if its file grows.
func TestASlowBackupHoldsUpNobody(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "store.db"))
	putKey(t, s, "before")
	begun, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	ended := make(chan error, 1)
	go func() {
		ended <- s.Backup(t.Context(), writerFunc(func(p []byte) (int, error) {
			once.Do(func() { close(begun); <-proceed })
			return len(p), nil
		}))
	}()
	<-begun
	for i := range 100 { // some megabytes
		err := s.Update(t.Context(), func(tx store.Tx) error {
			return tx.Put("b", fmt.Sprint(i), make([]byte, 50_000))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(proceed)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestOpenedDuringARestore: a process that waits for the store while a backup is
// put in its place gets the new one.
func TestOpenedDuringARestore(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "store.db"), filepath.Join(dir, "backup.db")
	filled(t, path, "old")
	filled(t, backup, "backup")
	type result struct {
		s   *store.File
		err error
	}
	opened := make(chan result, 1)
	_, err := store.Restore(t.Context(), backup, path, func(store.Store) error {
		begun := make(chan struct{})
		go func() {
			close(begun)
			s, err := store.OpenFile(path)
			opened <- result{s, err}
		}()
		<-begun
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := <-opened
	if got.err != nil {
		t.Fatal(got.err)
	}
	defer got.s.Close()
	if value := string(getKey(t, got.s)); value != "backup" {
		t.Errorf("the store has %q", value)
	}
}
