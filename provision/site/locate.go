package site

import (
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
	r := &siteReader{dir: s.dir, last: s.current(), began: s.clock(), facts: s.facts}
	if read, ok := s.files.names[mac]; ok { // it may be written in another way
		file = read
	}
	root, problems, found, _ := r.readFile(file)
	if spec, ok := r.last.machines.spec(mac); ok && spec.Group != "" {
		if merged := r.mergedInGroup(mac, spec.Group); merged != nil {
			return merged
		}
		file, found = spec.Group, false
	}
	if found && len(problems) == 0 {
		doc := newDocument(file, root, nil)
		if len(doc.extends) > 0 {
			r.readProfiles()
		}
		if merged, _, wrong := r.settle(mac, doc); len(wrong) == 0 && merged != nil {
			return merged
		}
	}
	empty, _ := jsontext.FromGo(file, map[string]any{}) // an empty object has always a JSON form
	return empty
}

// mergedInGroup is merged for a machine of a group, or nil if the group is broken by now.
func (r *siteReader) mergedInGroup(mac provision.MAC, file string) *jsontext.Node {
	root, problems, found, _ := r.readFile(file)
	if !found {
		return nil
	}
	r.readProfiles()
	return r.inGroup(r.newGroup(file, root, problems), mac)
}
