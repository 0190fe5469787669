package site

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"cloudlets/images/bytesize"
	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// maxFileSize bounds a machine file, a profile and cloudlets.json, in bytes.
const maxFileSize = jsontext.MaxSize

// Reload reads the site's files again, and reports whether anything that the
// site says has changed.
func (s *Site) Reload() bool {
	s.reading.Lock()
	defer s.reading.Unlock()
	last := s.current()
	next := readSite(s.dir, last)
	if reflect.DeepEqual(last, next) {
		return false
	}
	s.logProblems(last.problems, next.problems)
	s.publish(next)
	return true
}

// logProblems logs each problem once, when it appears.
func (s *Site) logProblems(last, next jsontext.Problems) {
	for _, p := range next {
		if !slices.Contains(last, p) {
			s.log.Warn("mistake in the site; what was good before stands",
				"file", p.File, "line", p.Line, "column", p.Column, "reason", p.What())
		}
	}
	if len(last) > 0 && len(next) == 0 {
		s.log.Info("the site's files are all right again", "site", s.dir)
	}
}

// siteReader reads a site once, from the files to a view.
type siteReader struct {
	dir      string
	last     *view
	profiles map[string]*document
	problems jsontext.Problems
}

func readSite(dir string, last *view) *view {
	r := &siteReader{dir: dir, last: last}
	next := &view{settings: r.settings(), images: r.images()}
	r.profiles, _ = r.documents(profilesDir)
	r.checkProfiles()
	next.specs = r.settle(r.machines())
	r.checkImages(next)
	next.problems = r.problems.Tidy()
	return next
}

func (r *siteReader) report(problems ...jsontext.Problem) {
	r.problems = append(r.problems, problems...)
}

func (r *siteReader) settings() Settings {
	root, problems, found := r.readFile(settingsFile)
	if !found {
		return Settings{}
	}
	settings := r.last.settings
	if len(problems) == 0 {
		var typed Settings
		if typed, problems = decodeSettings(r.dir, root); len(problems) == 0 {
			settings = typed
		}
	}
	r.report(problems...)
	return settings
}

// documents reads all files of a folder that end in .json. An absent folder is
// an empty one; one that cannot be read is not ok.
func (r *siteReader) documents(folder string) (docs map[string]*document, ok bool) {
	entries, err := os.ReadDir(filepath.Join(r.dir, folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true
	}
	if err != nil {
		r.report(jsontext.About(folder, "cannot be listed: %s", bareCause(err)))
		return nil, false
	}
	docs = make(map[string]*document)
	for _, entry := range entries {
		name, isJSON := strings.CutSuffix(entry.Name(), ".json")
		if !isJSON || strings.HasPrefix(name, ".") {
			continue
		}
		file := path.Join(folder, entry.Name())
		if root, problems, found := r.readFile(file); found {
			docs[name] = newDocument(file, root, problems)
		}
	}
	return docs, true
}

// readFile reads and parses one file. It is not found where it is absent.
func (r *siteReader) readFile(file string) (root *jsontext.Node, problems jsontext.Problems, found bool) {
	text, err := readRegular(filepath.Join(r.dir, filepath.FromSlash(file)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, false
	}
	if err != nil {
		return nil, jsontext.Problems{jsontext.About(file, "cannot be read: %s", bareCause(err))}, true
	}
	root, problems = jsontext.ParseWithComments(file, text)
	return root, problems, true
}

// readRegular reads a file of bounded size, and never waits on a FIFO.
func readRegular(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err == nil && len(text) > maxFileSize {
		err = fmt.Errorf("it is larger than %s", bytesize.Exact(maxFileSize))
	}
	return text, err
}

// bareCause drops operation and path, which the report names already.
func bareCause(err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		return wrapped.Err
	}
	return err
}

// candidate is what one machine file would make of its machine.
type candidate struct {
	file   string
	spec   provision.Spec
	at     *jsontext.Node // the merged files
	broken bool
}

// machines types all machine files, in order of their names.
func (r *siteReader) machines() map[provision.MAC]candidate {
	found := make(map[provision.MAC]candidate)
	docs, ok := r.documents(provision.MachinesDir)
	if !ok {
		for mac := range r.last.specs {
			found[mac] = candidate{broken: true}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		doc := docs[name]
		mac, err := provision.ParseMAC(name)
		if err != nil {
			r.report(jsontext.About(doc.file, "the file's name is no MAC address; want one such as 52:54:00:12:34:56.json"))
			continue
		}
		if first, twice := found[mac]; twice {
			r.report(jsontext.About(doc.file, "describes the machine %s, as %s does; remove one of the files", mac, first.file))
			continue
		}
		found[mac] = r.candidate(mac, doc)
	}
	return found
}

func (r *siteReader) candidate(mac provision.MAC, doc *document) candidate {
	merged, problems := r.resolve(doc, nil)
	c := candidate{file: doc.file, at: merged}
	if len(problems) == 0 {
		c.spec, problems = decodeSpec(mac, merged)
	}
	r.report(problems...)
	c.broken = len(problems) > 0
	return c
}
