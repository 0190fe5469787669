package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

var (
	// ErrDamaged says that a file is not a whole store. The error that wraps it
	// says what to do.
	ErrDamaged = errors.New("the store is damaged")
	// ErrInUse says that another process has a store open.
	ErrInUse = errors.New("the store is in use")
)

// ExitInUse is the exit code with which the command of [CheckApart] says that it
// found an [ErrInUse].
const ExitInUse = 3

// checkLock is how long Check waits for a process that has the file open.
const checkLock = 100 * time.Millisecond

// Check reads all of the store in a file. The library that reads it may end the
// whole process when the file is damaged: see [CheckApart].
func Check(path string) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("check store %s: %w", path, err)
	}
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: checkLock})
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("check store %s: %w", path, ErrInUse)
	}
	if err != nil {
		return fmt.Errorf("check store %s: %w: %w", path, ErrDamaged, err)
	}
	defer db.Close() // it was only read
	err = db.View(func(tx *bbolt.Tx) error {
		var first error
		for err := range tx.Check() { // to its end, since it runs beside
			if first == nil {
				first = err
			}
		}
		return first
	})
	if err != nil {
		return fmt.Errorf("check store %s: %w: %w", path, ErrDamaged, err)
	}
	return nil
}

// CheckApart checks a store in another process, since a damaged file can end the
// process that reads it. command has to call [Check] with the path that is added
// to it, print the error to standard error, and end with exit code 0, or
// [ExitInUse], or another one if the store is damaged.
//
// A store that is not there, or has no bytes yet, is an [fs.ErrNotExist].
func CheckApart(ctx context.Context, command []string, path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Size() == 0 { // a process was killed when it had just made the file
		err = fs.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("check store %s: %w", path, err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], path)...)
	cmd.Stderr = &stderr
	err = cmd.Run()
	exit, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case !ended:
		return fmt.Errorf("check store %s: %w", path, err)
	case exit.ExitCode() == ExitInUse:
		return fmt.Errorf("check store %s: %w", path, ErrInUse)
	}
	return fmt.Errorf("check store %s: %w (%s): put a backup in its place with `cloudlets restore`; or move the file away to begin with an empty one, and look first for machines whose files say \"install\": \"once\", since they would be installed again",
		path, ErrDamaged, firstLine(stderr.String(), exit))
}

// firstLine is the first line of what a process said, or how it ended.
func firstLine(said string, exit *exec.ExitError) string {
	const limit = 200
	line, _, _ := strings.Cut(strings.TrimSpace(said), "\n")
	if line == "" {
		line = exit.Error()
	}
	return strings.ToValidUTF8(line[:min(len(line), limit)], "")
}
