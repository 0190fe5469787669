package site

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cloudlets/images/jsontext"
)

// tarballEndings are those of the tarballs that images/ may hold.
func tarballEndings() []string {
	return []string{".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz2"}
}

// images lists what is in images/. Of a directory and a tarball with the same
// name the one that sorts first is taken: the directory.
func (r *siteReader) images() map[string]string {
	folder := filepath.Join(r.dir, imagesDir)
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		r.report(jsontext.About(imagesDir, "cannot be listed: %s", bareCause(err)))
		return r.last.images
	}
	found := make(map[string]string)
	for _, entry := range entries {
		full := filepath.Join(folder, entry.Name())
		name, ok := imageName(full)
		if !ok {
			continue
		}
		if first, twice := found[name]; twice {
			r.report(jsontext.About(imagesDir+"/"+entry.Name(), "has the name %q, as %s/%s has; rename one, until then the latter is used", name, imagesDir, filepath.Base(first)))
			continue
		}
		found[name] = full
	}
	return found
}

// imageName is the name of the image at a path, if one can be there. Hidden
// names are how tools call what they have not finished.
func imageName(full string) (string, bool) {
	base := filepath.Base(full)
	info, err := os.Stat(full)
	if err != nil || strings.HasPrefix(base, ".") {
		return "", false
	}
	if info.IsDir() {
		return base, true
	}
	for _, ending := range tarballEndings() {
		if name, ok := strings.CutSuffix(base, ending); ok && info.Mode().IsRegular() && name != "" {
			return name, true
		}
	}
	return "", false
}

// imagePath finds an image by its name, or the repository that a revision is
// of. Whether there is such a revision shows when it is opened.
func (v *view) imagePath(name string) (string, bool) {
	if p, ok := v.images[name]; ok {
		return p, true
	}
	repository, revision, ok := strings.Cut(name, "@")
	p, there := v.images[repository]
	if !ok || !there {
		return "", false
	}
	return p + "@" + revision, true
}
