package vcs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Package returns the Debian package of a tool, for an error about a
// missing tool.
func Package(kind Kind) string {
	if kind == Hg {
		return "mercurial"
	}
	return "git"
}

// FindTool returns the path of a tool's program.
func FindTool(kind Kind) (string, error) {
	name, err := exec.LookPath(string(kind))
	if err != nil {
		return "", fmt.Errorf("%s is not installed: install the package %s: %w", kind, Package(kind), err)
	}
	return name, nil
}

// strayVariables are environment variables that make a tool work on another
// repository. They are set if a hook runs this program.
var strayVariables = []string{
	"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE",
	"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX", "GIT_CEILING_DIRECTORIES", "GIT_LITERAL_PATHSPECS",
	"GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "HG_NODE", "HGROOT",
}

// Environment returns the environment of this process without strayVariables,
// and with some more variables.
func Environment(more ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(strayVariables, name)
	})
	return append(env, more...)
}

// Quiet returns a command for queries by this program: without pager, colours
// and aliases, and with messages in English.
func Quiet(ctx context.Context, kind Kind, repository string, args ...string) (*exec.Cmd, error) {
	name, err := FindTool(kind)
	if err != nil {
		return nil, err
	}
	var cmd *exec.Cmd
	if kind == Hg {
		cmd = exec.CommandContext(ctx, name, append([]string{"-R", repository}, args...)...)
		cmd.Env = Environment("HGPLAIN=1", "LC_ALL=C.UTF-8", "LANGUAGE=")
	} else {
		safe := []string{"-C", repository, "--no-pager", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull}
		cmd = exec.CommandContext(ctx, name, append(safe, args...)...)
		// A partial clone would fetch missing objects with whatever program its
		// configuration names. Reading an image must not do that.
		cmd.Env = Environment("GIT_ALLOW_PROTOCOL=none", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C.UTF-8", "LANGUAGE=")
	}
	return cmd, nil
}

// Ask runs a tool and returns its output.
func Ask(ctx context.Context, kind Kind, repository string, args ...string) ([]byte, error) {
	cmd, err := Quiet(ctx, kind, repository, args...)
	if err != nil {
		return nil, err
	}
	return Output(cmd)
}

// Output is exec.Cmd.Output, except that the error contains the tool's message.
func Output(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		said := strings.TrimSpace(string(bytes.ToValidUTF8(exit.Stderr, nil)))
		return out, &ToolError{Tool: cmd.Args[0], Said: said, Err: exit}
	}
	return out, err
}

// ToolError is the failure of a tool, with its message.
type ToolError struct {
	Tool string // the name of its program
	Said string // on standard error
	Err  *exec.ExitError
}

func (e *ToolError) Error() string {
	if e.Said == "" {
		return fmt.Sprintf("%s: %v", e.Tool, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Tool, e.Said)
}

func (e *ToolError) Unwrap() error { return e.Err }
