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
	"slices"
	"strings"
	"time"

	"cloudlets/images/bytesize"
	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/provision/site/keys"
)

// maxFileSize bounds a machine file, a profile and cloudlets.json, in bytes.
const maxFileSize = jsontext.MaxSize

// Reload reads the site's files again, and reports whether anything that the
// site says has changed.
func (s *Site) Reload() bool {
	s.reading.Lock()
	defer s.reading.Unlock()
	last := s.current()
	next := (&siteReader{dir: s.dir, last: last, files: &s.files, began: s.clock(), facts: s.facts}).read()
	if last.equal(next) {
		return false
	}
	s.logProblems(last.problems, next.problems)
	s.publish(next)
	return true
}

// Refresh reads the site for somebody who has just changed it: what was on the disk when
// Refresh was called counts when it returns. Those who ask during a reading share the
// next one.
func (s *Site) Refresh() {
	mine := s.asked.Add(1)
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	if s.answered >= mine {
		return
	}
	all := s.asked.Load()
	s.Reload()
	s.answered = all
}

// logProblems logs each problem once, when it appears.
func (s *Site) logProblems(last, next jsontext.Problems) {
	known := make(map[jsontext.Problem]bool, len(last))
	for _, p := range last {
		known[p] = true
	}
	for _, p := range next {
		if !known[p] {
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
	files    *fileCache
	began    time.Time // when the reading began
	profiles map[string]*document
	// profileState is what the disk says of all profiles, or "" if that does
	// not tell whether their content will have changed.
	profileState string
	problems     jsontext.Problems
	wrong        map[provision.MAC]jsontext.Problems
	// grouped has the files of the machines that are described by groups.
	grouped map[provision.MAC]string
	// drafts are texts of machines' files that count as if they were there, by path.
	drafts map[string][]byte
	facts  Facts
}

func (r *siteReader) read() *view {
	next := newView()
	next.settings, next.images = r.settings(), r.images()
	r.readProfiles()
	next.profiles = slices.Sorted(maps.Keys(r.profiles))
	r.checkProfiles(next)
	found := r.machines()
	next.judged = judgedBy(found)
	next.machines = newIndex(r.specs(found))
	r.checkImages(next)
	r.checkAddresses(next)
	r.checkStrangers(next)
	next.problems, next.wrong = r.problems.Tidy(), r.wrong
	return next
}

func (r *siteReader) report(problems ...jsontext.Problem) {
	r.problems = append(r.problems, problems...)
}

// reportOf reports problems that are about a machine.
func (r *siteReader) reportOf(mac provision.MAC, problems ...jsontext.Problem) {
	r.report(problems...)
	if len(problems) > 0 {
		if r.wrong == nil {
			r.wrong = make(map[provision.MAC]jsontext.Problems)
		}
		r.wrong[mac] = append(r.wrong[mac], problems...)
	}
}

func (r *siteReader) settings() keys.Settings {
	root, problems, found, _ := r.readFile(SettingsFile)
	if !found {
		return keys.Settings{}
	}
	settings := r.last.settings
	if len(problems) == 0 {
		var typed keys.Settings
		if typed, problems = keys.DecodeSettings(r.dir, root); len(problems) == 0 {
			settings = typed
		}
	}
	r.report(problems...)
	return settings
}

// list returns the names of a folder's files that end in .json, without that
// ending, in order. An absent folder is an empty one; one that cannot be read
// is not ok.
func (r *siteReader) list(folder string) (names []string, ok bool) {
	entries, err := os.ReadDir(filepath.Join(r.dir, folder))
	if errors.Is(err, fs.ErrNotExist) {
		return r.withDrafts(folder, nil), true
	}
	if err != nil {
		r.report(jsontext.About(folder, "cannot be listed: %s", bareCause(err)))
		return nil, false
	}
	for _, entry := range entries {
		name, isJSON := strings.CutSuffix(entry.Name(), ".json")
		if isJSON && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	return r.withDrafts(folder, names), true
}

// withDrafts adds the names of a folder's drafts.
func (r *siteReader) withDrafts(folder string, names []string) []string {
	if len(r.drafts) == 0 {
		return names
	}
	for file := range r.drafts {
		if name := strings.TrimSuffix(path.Base(file), ".json"); path.Dir(file) == folder {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// readProfiles reads all profiles, whether a machine extends them or not.
func (r *siteReader) readProfiles() {
	r.profiles = make(map[string]*document)
	names, trusted := r.list(profilesDir)
	var states strings.Builder
	for _, name := range names {
		file := path.Join(profilesDir, name+".json")
		state := r.state(file) // before the file is read, so that it is never newer than the content
		trusted = trusted && state != ""
		fmt.Fprintf(&states, "%s\x00%s\x00", name, state)
		root, problems, found, read := r.readFile(file)
		trusted = trusted && read
		if found {
			r.profiles[name] = newProfile(file, root, problems)
		}
	}
	if trusted {
		r.profileState = "profiles:" + states.String()
	}
}

// readFile reads and parses one file. It is not found where it is absent. read is
// false if it could not be read, which may be different next time although the
// file is the same.
func (r *siteReader) readFile(file string) (root *jsontext.Node, problems jsontext.Problems, found, read bool) {
	text, isDraft := r.drafts[file]
	var err error
	if !isDraft {
		text, err = readRegular(filepath.Join(r.dir, filepath.FromSlash(file)))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, false, true
	}
	if err != nil {
		return nil, jsontext.Problems{jsontext.About(file, "cannot be read: %s", bareCause(err))}, true, false
	}
	root, problems = jsontext.ParseWithComments(file, text)
	return root, problems, true, true
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
