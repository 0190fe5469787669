//go:build unix

package vcs

import (
	"context"
	"errors"
	"slices"
	"strings"

	"cloudlets/images"
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

// escapedPaths are the image's paths of the files, and the directories, whose
// names in the repository are others.
func escapedPaths(tracked []string) []string {
	found := map[string]bool{}
	for _, name := range tracked {
		if !strings.Contains(name, escapePrefix) {
			continue
		}
		p := ""
		for part := range strings.SplitSeq(name, "/") {
			plain, escaped := unescape(part)
			p += "/" + plain
			if images.IsBookkeeping(p) {
				break // a repository does not bring another one
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

// whileHidden does something while files have the names that the tool can
// have, and gives them and those that have come their own again.
func (s *session) whileHidden(ctx context.Context, hidden []string, do func() error) (err error) {
	r := renamer{dir: s.Dir, state: s.state}
	defer func() { err = errors.Join(err, s.unhide(context.WithoutCancel(ctx), &r)) }()
	if err := r.hide(hidden); err != nil {
		return err
	}
	return do()
}

// hidden lists the files that need another name. Those that are in the
// repository by their own name, since the bare tool put them there, keep it.
// Devices step aside for whatever a command puts in their place, and those
// that a tool would read its orders from always: from a FIFO it would for ever.
func (s *session) hidden(v *view) []string {
	byOwnName := make(map[string]bool, len(v.tracked))
	for _, name := range v.tracked {
		byOwnName["/"+name] = true
	}
	var own []string
	v.snapshot.Paths(func(p string, t images.Type) {
		name, known := p[strings.LastIndexByte(p, '/')+1:], byOwnName[p]
		orders := strings.HasPrefix(name, ".git") || strings.HasPrefix(name, ".hg")
		if isNode(t) && (known || orders || s.plan.effect == changes) || !known && mustEscape(s.Kind, name, t, strings.Count(p, "/") == 1) {
			own = append(own, p)
		}
	})
	return own
}

func isNode(t images.Type) bool {
	return t == images.CharDevice || t == images.BlockDevice || t == images.FIFO
}

// toolPath is what a path is while files are hidden.
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
			name = escape(name)
		}
		b.WriteString("/" + name)
		i = end + 1
	}
	return b.String()
}

// unhide gives the files their own names again, also those that have come.
func (s *session) unhide(ctx context.Context, r *renamer) error {
	if s.plan.effect == looks {
		return r.show(nil)
	}
	return s.showNames(ctx)
}
