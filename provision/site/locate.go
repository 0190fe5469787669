package site

import (
	"path"
	"sync"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// Locate returns where the files say something of a machine: the machine's own, or a
// profile that it extends. They are read again when the first place is asked for, since
// few ever are. Where a file is broken, the place is the machine's file as a whole.
func (s *Site) Locate(mac provision.MAC) func(names ...string) jsontext.Place {
	merged := sync.OnceValue(func() *jsontext.Node { return s.merged(mac) })
	return func(names ...string) jsontext.Place { return merged().Locate(names...) }
}

// merged is what the files say of a machine, as the profiles and its own file are merged.
func (s *Site) merged(mac provision.MAC) *jsontext.Node {
	file := mac.File()
	s.reading.Lock()
	defer s.reading.Unlock()
	r := &siteReader{dir: s.dir, last: s.current(), began: s.clock()}
	if cached, ok := s.fileOf(mac); ok {
		file = cached
	}
	root, problems, found, _ := r.readFile(file)
	if found && len(problems) == 0 {
		doc := newDocument(file, root, nil)
		if len(doc.extends) > 0 {
			r.readProfiles()
		}
		if merged, wrong := r.resolve(doc, nil); len(wrong) == 0 && merged != nil {
			return merged
		}
	}
	empty, _ := jsontext.FromGo(file, map[string]any{}) // an empty object has always a JSON form
	return empty
}

// fileOf is the file of a machine, whose name may be written in another way than
// [provision.MAC.File] writes it. The caller holds reading.
func (s *Site) fileOf(mac provision.MAC) (string, bool) {
	if _, ok := s.files.machines[mac.File()]; ok {
		return "", false
	}
	for name := range s.files.machines {
		if parsed, err := provision.ParseMAC(path.Base(name[:len(name)-len(".json")])); err == nil && parsed == mac {
			return name, true
		}
	}
	return "", false
}
