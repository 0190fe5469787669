//go:build unix

// Package worktree runs git or Mercurial with an image as its repository ([Run]),
// and takes care of what the tool loses: owners, modes, devices and the like.
// These are in the image's metadata file (see package metadata), which is
// written before the tool looks at the tree, and applied after the tool has
// changed it.
package worktree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"cloudlets/images/metadata"
	"cloudlets/images/vcs"
	"cloudlets/images/vcs/commands"
)

// Options describe what to run. Only Kind and Dir are required.
type Options struct {
	Kind vcs.Kind
	// Dir is the directory of the image. It is also the root of the repository.
	Dir string
	// Args are the arguments of the tool.
	Args []string
	// Stdin, Stdout and Stderr are those of the tool.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Signals are passed on to the tool while it runs.
	Signals <-chan os.Signal
	// Merge is a command that merges two versions of the metadata file. The
	// names of four files are appended: the common ancestor, ours, theirs, and
	// the result (see [MergeFiles]). Without Merge the versions are merged like
	// any text, so changes in adjacent lines conflict.
	Merge []string
	// Notice is called with a sentence for the user that the tool does not
	// print. nil means silence.
	Notice func(text string)
}

// Run runs the tool with an image as its repository, and returns the tool's
// exit code. If a signal ended the tool, the code is 128 plus the signal's
// number. The error is only about problems outside of the tool; the tool prints
// its own errors.
//
// Before a command looks at the tree, Run writes the image's metadata file.
// After a command has changed the tree, Run applies the metadata file; until
// then, only the owner can read what the tool wrote. If a run is interrupted,
// the next one first repairs what it left.
func Run(ctx context.Context, opt Options) (int, error) {
	s, err := newSession(opt)
	if err != nil {
		return 0, err
	}
	code, err := s.run(ctx)
	if err != nil {
		return code, fmt.Errorf("%s %s: %w", opt.Kind, opt.Dir, err)
	}
	return code, nil
}

// session is the state of one run.
type session struct {
	Options
	program string
	tool    tool
	asked   commands.Command
	state   *state    // nil if the command does not involve the files
	held    *contents // nil if the list is not up to date
	taken   *taken    // what the command takes from a revision, or nil
	// recorded is the metadata file if it was just read. Whoever takes it from
	// here sets this to nil again.
	recorded *metadata.File
	// metadataState is the state of the metadata file just before it was read, see
	// [fileState].
	metadataState string
	// signalled says that a signal came while the tool ran.
	signalled atomic.Bool
}

func newSession(opt Options) (*session, error) {
	program, err := vcs.FindTool(opt.Kind)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(opt.Dir)
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real // before a clone the directory does not exist
	}
	s := &session{Options: opt, program: program}
	s.Dir = dir
	switch opt.Kind {
	case vcs.Git:
		s.tool = &gitTool{dir: dir, merge: opt.Merge}
	case vcs.Hg:
		s.tool = &hgTool{dir: dir, merge: opt.Merge}
	default:
		return nil, fmt.Errorf("%q is neither git nor hg", opt.Kind)
	}
	return s, nil
}

func (s *session) notice(format string, args ...any) {
	if s.Notice != nil {
		s.Notice(fmt.Sprintf(format, args...))
	}
}

func (s *session) run(ctx context.Context) (int, error) {
	s.asked = commands.Read(s.Kind, s.Args, func(global []string, name string) []string { return s.tool.alias(ctx, global, name) })
	if s.asked.Effect == commands.Clones {
		return s.clone(ctx)
	}
	if info, err := os.Stat(s.Dir); err != nil || !info.IsDir() {
		return 0, errors.Join(err, errors.New("the image must be a directory"))
	}
	if s.asked.Effect == commands.Creates {
		return s.create(ctx)
	}
	kind, ok := vcs.Detect(s.Dir)
	if !ok || kind != s.Kind && !exists(s.Dir, "."+string(s.Kind)) {
		return 0, fmt.Errorf("%w; make one with \"cloudlets %s %s init\"", vcs.ErrNoRepository, s.Kind, s.Options.Dir)
	}
	if s.asked.Effect == commands.Nothing || vcs.IsBare(s.Dir) && s.Kind == vcs.Git || s.asked.Name == "" {
		return s.execute(ctx, s.Args)
	}
	return s.around(ctx)
}

// contents returns what the repository holds. The list is cached until a
// command has run.
func (s *session) contents(ctx context.Context) (*contents, error) {
	if s.held != nil {
		return s.held, nil
	}
	tracked, err := s.tool.tracked(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the files in the repository: %w", err)
	}
	s.held = contentsOf(tracked)
	return s.held, nil
}

// create runs init.
func (s *session) create(ctx context.Context) (int, error) {
	again := exists(s.Dir, "."+string(s.Kind))
	code, err := s.execute(ctx, s.Args)
	if code != 0 || err != nil || again || !exists(s.Dir, "."+string(s.Kind)) {
		return code, err
	}
	return 0, s.withState(ctx, func() error { return s.tool.prepare(ctx) })
}

// withState calls do while the state is open.
func (s *session) withState(ctx context.Context, do func() error) (err error) {
	folder, err := s.tool.folder(ctx)
	if err != nil {
		return err
	}
	if s.state, err = openState(folder); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.state.close()) }()
	return do()
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}
