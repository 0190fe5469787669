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

// toolPackage returns the Debian package of a tool, for an error about a
// missing tool.
func toolPackage(kind Kind) string {
	if kind == Hg {
		return "mercurial"
	}
	return "git"
}

// findTool returns the path of a tool's program.
func findTool(kind Kind) (string, error) {
	name, err := exec.LookPath(string(kind))
	if err != nil {
		return "", fmt.Errorf("%s is not installed: install the package %s: %w", kind, toolPackage(kind), err)
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

// environment returns the environment of this process without strayVariables,
// and with some more variables.
func environment(more ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(strayVariables, name)
	})
	return append(env, more...)
}

// quiet returns a command for queries by this program: without pager, colours
// and aliases, and with messages in English.
func quiet(ctx context.Context, kind Kind, repository string, args ...string) (*exec.Cmd, error) {
	name, err := findTool(kind)
	if err != nil {
		return nil, err
	}
	var cmd *exec.Cmd
	if kind == Hg {
		cmd = exec.CommandContext(ctx, name, append([]string{"-R", repository}, args...)...)
		cmd.Env = environment("HGPLAIN=1", "LC_ALL=C.UTF-8", "LANGUAGE=")
	} else {
		safe := []string{"-C", repository, "--no-pager", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull}
		cmd = exec.CommandContext(ctx, name, append(safe, args...)...)
		// A partial clone would fetch missing objects with whatever program its
		// configuration names. Reading an image must not do that.
		cmd.Env = environment("GIT_ALLOW_PROTOCOL=none", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C.UTF-8", "LANGUAGE=")
	}
	return cmd, nil
}

// ask runs a tool and returns its output.
func ask(ctx context.Context, kind Kind, repository string, args ...string) ([]byte, error) {
	cmd, err := quiet(ctx, kind, repository, args...)
	if err != nil {
		return nil, err
	}
	return output(cmd)
}

// output is exec.Cmd.Output, except that the error contains the tool's message.
func output(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		said := strings.TrimSpace(string(bytes.ToValidUTF8(exit.Stderr, nil)))
		return out, &toolError{tool: cmd.Args[0], said: said, err: exit}
	}
	return out, err
}

// toolError is the failure of a tool, with its message.
type toolError struct {
	tool, said string
	err        *exec.ExitError
}

func (e *toolError) Error() string {
	if e.said == "" {
		return fmt.Sprintf("%s: %v", e.tool, e.err)
	}
	return fmt.Sprintf("%s: %s", e.tool, e.said)
}

func (e *toolError) Unwrap() error { return e.err }
