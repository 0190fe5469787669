//go:build unix

package worktree

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/vcs"
	"cloudlets/images/vcs/commands"
)

// showNames gives all files their own names.
func (s *session) showNames(ctx context.Context) error {
	held, err := s.contents(ctx)
	if err != nil {
		return err
	}
	r := renamer{dir: s.Dir, state: s.state}
	return r.show(held.escapedPaths())
}

// escapedPaths returns the image's paths of those files and directories that
// have other names in the repository.
func (c *contents) escapedPaths() []string {
	found := map[string]bool{}
	for name := range c.escaped {
		p := ""
		for part := range strings.SplitSeq(name, "/") {
			plain, escaped := vcs.Unescape(part)
			p += "/" + plain
			if images.IsBookkeeping(p) {
				break // a repository must not contain another one
			}
			if escaped {
				found[p] = true
			}
		}
	}
	return slices.Collect(maps.Keys(found))
}

// whileHidden calls do while files have names that the tool can keep.
// Afterwards it gives these and any new files their own names.
func (s *session) whileHidden(ctx context.Context, hidden []string, do func() error) (err error) {
	r := renamer{dir: s.Dir, state: s.state}
	defer func() { err = errors.Join(err, s.unhide(context.WithoutCancel(ctx), &r)) }()
	if err := r.hide(hidden); err != nil {
		return err
	}
	return do()
}

// hidden returns the files that need another name while the tool runs. A file
// that the bare tool has put into the repository by its own name keeps that
// name. A device or FIFO gets another name if a command may put a file in its
// place. It always does if the tool would read instructions from it, because
// reading from a FIFO would block forever.
func (s *session) hidden(v *view) []string {
	var own []string
	v.snapshot.Paths(func(p string, t images.Type) {
		last := strings.LastIndexByte(p, '/')
		name := p[last+1:]
		orders := strings.HasPrefix(name, ".git") || strings.HasPrefix(name, ".hg")
		if isNode(t) && (orders || s.asked.Effect == commands.Changes || v.contents.hasName(p)) ||
			vcs.MustEscape(s.Kind, name, t, last == 0) && !v.contents.hasName(p) {
			own = append(own, p)
		}
	})
	return own
}

// hasNode reports whether one of these files is a device or FIFO.
func (v *view) hasNode(files []string) (has bool) {
	if len(files) == 0 {
		return false
	}
	v.snapshot.Paths(func(p string, t images.Type) { has = has || isNode(t) && slices.Contains(files, p) })
	return has
}

func isNode(t images.Type) bool {
	return t == images.CharDevice || t == images.BlockDevice || t == images.FIFO
}

// toolPath returns the path of a file while files are hidden.
func toolPath(hidden []string, p string) string {
	if len(hidden) == 0 {
		return p
	}
	var b strings.Builder
	for i := 1; i <= len(p); {
		end := len(p)
		if n := strings.IndexByte(p[i:], '/'); n >= 0 {
			end = i + n
		}
		name := p[i:end]
		if slices.Contains(hidden, p[:end]) {
			name = vcs.Escape(name)
		}
		b.WriteString("/" + name)
		i = end + 1
	}
	return b.String()
}

// unhide gives the files, including new ones, their own names again.
func (s *session) unhide(ctx context.Context, r *renamer) error {
	if s.asked.Effect == commands.Looks {
		return r.show(nil)
	}
	return s.showNames(ctx)
}
