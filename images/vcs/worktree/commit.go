//go:build unix

package worktree

import (
	"context"
	"slices"

	"cloudlets/images/vcs"
	"cloudlets/images/vcs/commands"
)

// staying returns the files that stay in the repository, of those that the tree
// lacks: a commit may be about to remove the others.
func (s *session) staying(ctx context.Context, gone []string) ([]string, error) {
	if len(gone) == 0 || !s.asked.Commits || s.asked.Effect != commands.Looks {
		return gone, nil
	}
	c := s.asked.Committing()
	switch {
	case c.All:
		return nil, nil
	case len(c.Paths) == 0:
		return gone, nil
	}
	names, err := s.tool.selected(ctx, s.asked.Global, "", c.Paths)
	if err != nil {
		return gone, nil //nolint:nilerr // the tool says what is wrong with the paths
	}
	removed := map[string]bool{}
	for _, name := range names {
		if p, err := vcs.UnescapePath(name); err == nil {
			removed[p] = true
		}
	}
	return slices.DeleteFunc(gone, func(p string) bool { return removed[p] }), nil
}

// arguments returns the arguments with which the tool runs. A commit of some
// files only gets the metadata file as one of them.
func (s *session) arguments() []string {
	if s.Kind != vcs.Git || s.asked.Name != "commit" || !exists(s.Dir, metadataName) || !s.asked.Committing().Only {
		return s.Args
	}
	name := ":(top)" + metadataName
	if slices.Contains(s.asked.Global, "--literal-pathspecs") {
		name = metadataName
	}
	return slices.Insert(slices.Clone(s.Args), s.asked.At+1, name)
}
