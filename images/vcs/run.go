//go:build unix

package vcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Options say what to run. All but Kind and Dir may be empty.
type Options struct {
	Kind Kind
	// Dir is the image, whose root is the root of the repository.
	Dir string
	// Args are the tool's arguments.
	Args []string
	// Stdin, Stdout and Stderr are the tool's.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Signals are passed on to the tool while it runs.
	Signals <-chan os.Signal
	// Merge is a command that merges two versions of the metadata file, to
	// which the names of four files are appended: the common ancestor, ours,
	// theirs, the result (see [MergeFiles]). Without it they are merged as
	// any text, and lines next to one another conflict.
	Merge []string
	// Notice is told, in one sentence, what a person should know and the tool
	// does not say. nil is silent.
	Notice func(text string)
}

// Run runs the tool with an image as its repository, and returns its exit
// code; of a tool that a signal ended it is 128 and the signal's number. An
// error is one of ours: the tool has told its own.
//
// Before a command that looks at the tree the image's metadata file is
// written; after one that changes the tree it is applied. Until then, only
// the owner can read what the tool writes. Should the run not come to its
// end, the next one puts things in order first.
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

// session is one run.
type session struct {
	Options
	program string
	tool    tool
	plan    plan
	state   *state // nil where the command has nothing to do with the files
	listed  bool   // the files that are listed are up to date
	files   []string
}

func newSession(opt Options) (*session, error) {
	program, err := findTool(opt.Kind)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(opt.Dir)
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real // one that a clone will make is not there yet
	}
	s := &session{Options: opt, program: program}
	s.Dir = dir
	switch opt.Kind {
	case Git:
		s.tool = &gitTool{dir: dir, merge: opt.Merge}
	case Hg:
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
	s.plan = planOf(s.Kind, s.Args, func(name string) string { return s.tool.alias(ctx, name) })
	if s.plan.effect == clones {
		return s.clone(ctx)
	}
	if info, err := os.Stat(s.Dir); err != nil || !info.IsDir() {
		return 0, errors.Join(err, errors.New("the image must be a directory"))
	}
	if s.plan.effect == creates {
		return s.create(ctx)
	}
	kind, ok := Detect(s.Dir)
	if !ok || kind != s.Kind && !exists(s.Dir, "."+string(s.Kind)) {
		return 0, fmt.Errorf("%w; make one with \"cloudlets %s %s init\"", ErrNoRepository, s.Kind, s.Options.Dir)
	}
	if s.plan.effect == nothing || IsBare(s.Dir) && s.Kind == Git || s.plan.name == "" {
		return s.execute(ctx, s.Args)
	}
	return s.around(ctx)
}

// tracked lists the files in the repository; asking again costs nothing
// until a command has run.
func (s *session) tracked(ctx context.Context) ([]string, error) {
	if s.listed {
		return s.files, nil
	}
	files, err := s.tool.tracked(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the files in the repository: %w", err)
	}
	s.files, s.listed = files, true
	return files, nil
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

// withState does something while the state is open.
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
