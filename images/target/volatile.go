package target

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"cloudlets/images"
)

// checkVolatile returns a sentence for each volatile pattern that leads through a
// symbolic link of the image. Patterns are matched with the paths of files, and no
// file's path leads through a link, so such a pattern matches nothing.
func (s System) checkVolatile() (list []string, err error) {
	for _, pattern := range s.Manifest.Volatile {
		link, err := linkIn(s.Tree, literalDir(pattern))
		if err != nil {
			return nil, err
		}
		if link.Path != "" {
			list = append(list, fmt.Sprintf("the volatile pattern %q matches no file, since %s is a link to %s: write the path that it leads to", pattern, link.Path, link.Link))
		}
	}
	return list, nil
}

// linkIn returns the first symbolic link on the way to a directory. Its path is ""
// if there is none.
func linkIn(t images.Tree, dir string) (images.Entry, error) {
	if dir == "/" || dir == "." {
		return images.Entry{}, nil
	}
	if link, err := linkIn(t, path.Dir(dir)); err != nil || link.Path != "" {
		return link, err
	}
	e, err := t.Entry(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return images.Entry{}, nil
	case err != nil || e.Type != images.Symlink:
		return images.Entry{}, err
	}
	return e, nil
}

// literalDir is the directory that all matches of a regular expression are in, as
// far as its text says so before its first operator.
func literalDir(pattern string) string {
	var b strings.Builder
	pattern = strings.TrimPrefix(pattern, "^")
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		if c == '\\' && i+1 < len(pattern) && strings.IndexByte(`.[](){}*+?^$|/\-`, pattern[i+1]) >= 0 {
			i++
			c = pattern[i]
		} else if strings.IndexByte(`.[](){}*+?^$|\`, c) >= 0 {
			break
		}
		b.WriteByte(c)
	}
	text := b.String()
	if end := strings.LastIndexByte(text, '/'); end > 0 && !strings.Contains(pattern, "|") {
		return path.Clean(text[:end])
	}
	return "/"
}
