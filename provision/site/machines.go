package site

import (
	"path"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/images/fingerprint"
	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/provision/site/keys"
)

// machineFile is what a machine's file says, together with the profiles that it
// extends. Whether its Spec stands is decided later, see [siteReader.specs].
type machineFile struct {
	file   string
	spec   provision.Spec
	broken bool
	// address, hostname, cards and uuid are where the files say these, as problems
	// without a reason.
	address, hostname, cards, uuid jsontext.Problem
}

// settledAfter is how long ago a file must have changed before its state on the
// disk is trusted to tell its content: a second change at the same instant, as
// the filesystem counts time, would go unseen.
const settledAfter = 2 * time.Second

// fileCache has what was made of the machines' files when they were last read.
// In a site of ten thousand files, a change of one of them costs little more
// than the reading of that one.
type fileCache struct {
	profiles string // the state of all profiles
	machines map[string]cachedFile
	groups   map[string]cachedGroup
	names    map[provision.MAC]string // of the files
}

// cachedFile is what was made of one machine's file.
type cachedFile struct {
	state    string // of the file on the disk; "" if that is not to be trusted
	extends  bool   // it extends a profile
	absent   bool
	machine  machineFile
	problems jsontext.Problems
}

// machines reads all files of machines and of groups, in order of their names.
func (r *siteReader) machines() map[provision.MAC]machineFile {
	names, ok := r.list(provision.MachinesDir)
	if !ok {
		return r.unreadable()
	}
	found := make(map[provision.MAC]machineFile, len(names))
	fileOf := make(map[provision.MAC]string, len(names))
	var macs []provision.MAC
	var groups []string
	for _, name := range names {
		file := path.Join(provision.MachinesDir, name+".json")
		mac, err := provision.ParseMAC(name)
		if err != nil {
			groups = append(groups, file)
			continue
		}
		if first, twice := fileOf[mac]; twice {
			r.report(jsontext.About(file, "describes the machine %s, as %s does; remove one of the files", mac, first))
			continue
		}
		fileOf[mac] = file
		macs = append(macs, mac)
	}
	same := r.profileState != "" && r.profileState == r.files.profiles
	for i, c := range r.readMachines(macs, fileOf, same) {
		r.reportOf(macs[i], c.problems...)
		if !c.absent {
			found[macs[i]] = c.machine
		}
	}
	r.groups(groups, same, found)
	return found
}

// unreadable are the machines of the last view, as if all files were broken.
func (r *siteReader) unreadable() map[provision.MAC]machineFile {
	found := make(map[provision.MAC]machineFile)
	for _, spec := range r.last.machines.specs {
		found[spec.MAC] = machineFile{broken: true}
	}
	return found
}

// readMachines reads the files of machines, several at once, and keeps what it
// made of them. A file that has not changed is not read again; same says that the
// profiles have not.
func (r *siteReader) readMachines(macs []provision.MAC, fileOf map[provision.MAC]string, same bool) []cachedFile {
	before := r.files.machines
	results := make([]cachedFile, len(macs))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, mac := range macs {
		file := fileOf[mac]
		state := r.state(file)
		if last, ok := before[file]; ok && state != "" && last.state == state && (same || !last.extends) && r.stands(last.machine) {
			results[i] = last
			continue
		}
		group.Go(func() error {
			results[i] = r.readMachine(mac, file, state)
			return nil
		})
	}
	_ = group.Wait() // problems are in the results
	r.files.profiles, r.files.machines, r.files.names = r.profileState, make(map[string]cachedFile, len(macs)), fileOf
	for i, mac := range macs {
		r.files.machines[fileOf[mac]] = results[i]
	}
	return results
}

// readMachine reads one machine's file. Several may be read at once, since all
// profiles are resolved by now and do not change any more.
func (r *siteReader) readMachine(mac provision.MAC, file, state string) cachedFile {
	root, problems, found, read := r.readFile(file)
	if !found {
		return cachedFile{absent: true}
	}
	if !read {
		state = ""
	}
	doc := newDocument(file, root, problems)
	m, _, problems := r.decodeMachine(mac, doc)
	return cachedFile{state: state, extends: len(doc.extends) > 0, machine: m, problems: problems}
}

// decodeMachine makes a machine of its file, merged with the profiles that it
// extends.
func (r *siteReader) decodeMachine(mac provision.MAC, doc *document) (machineFile, *jsontext.Node, jsontext.Problems) {
	m := machineFile{file: doc.file}
	merged, ruling, problems := r.settle(mac, doc)
	if len(problems) == 0 {
		m.spec, problems = keys.DecodeSpec(mac, merged)
		m.spec.Profiles, m.spec.Rules = r.extended(doc, nil), ruling
	}
	if m.broken = len(problems) > 0; m.broken {
		return m, nil, problems
	}
	m.address = merged.Locate("address").Problem("")
	m.hostname = merged.Locate("hostname").Problem("")
	m.cards = merged.Locate("macs").Problem("")
	m.uuid = merged.Locate("uuid").Problem("")
	return m, merged, keys.Notices(merged)
}

// state is what the disk says of a file, or "" if that does not tell whether its
// content will have changed.
func (r *siteReader) state(file string) string {
	if _, isDraft := r.drafts[file]; isDraft {
		return ""
	}
	state, changed, err := fingerprint.Stat(filepath.Join(r.dir, filepath.FromSlash(file)))
	if err != nil || r.began.Sub(changed) < settledAfter {
		return ""
	}
	return state
}
