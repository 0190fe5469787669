//go:build unix

package worktree

import (
	"context"
	"errors"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/vcs"
)

// showNames gives all files their own names.
func (s *session) showNames(ctx context.Context) error {
	tracked, err := s.tracked(ctx)
	if err != nil {
		return err
	}
	r := renamer{dir: s.Dir, state: s.state}
	return r.show(escapedPaths(tracked))
}

// escapedPaths returns the image's paths of those files and directories that
// have other names in the repository.
func escapedPaths(tracked []string) []string {
	found := map[string]bool{}
	for _, name := range tracked {
		if !strings.Contains(name, vcs.EscapePrefix) {
			continue
		}
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
	own := make([]string, 0, len(found))
	for p := range found {
		own = append(own, p)
	}
	return own
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
	byOwnName := make(map[string]bool, len(v.tracked))
	for _, name := range v.tracked {
		byOwnName["/"+name] = true
	}
	var own []string
	v.snapshot.Paths(func(p string, t images.Type) {
		name, known := p[strings.LastIndexByte(p, '/')+1:], byOwnName[p]
		orders := strings.HasPrefix(name, ".git") || strings.HasPrefix(name, ".hg")
		if isNode(t) && (known || orders || s.plan.effect == changes) || !known && vcs.MustEscape(s.Kind, name, t, strings.Count(p, "/") == 1) {
			own = append(own, p)
		}
	})
	return own
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
	if s.plan.effect == looks {
		return r.show(nil)
	}
	return s.showNames(ctx)
}
