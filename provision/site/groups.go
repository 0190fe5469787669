package site

import (
	"errors"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/provision/naming"
	"cloudlets/provision/site/keys"
)

// machinesKey makes a file in machines/ that of a group.
const machinesKey = "machines"

// maxNumber bounds the number of a machine in its group.
const maxNumber = 1_000_000

// The mistakes in the list of a group's machines.
var (
	errMember     = errors.New(`want the machine's MAC address, or an object with "mac" and what it has for itself, such as {"mac": "52:54:00:12:34:56", "hostname": "gateway"}`)
	errNumber     = errors.New(`want as its name the machine's number, 0 to 1000000, without zeros before it`)
	errOwnExtends = errors.New(`a machine of a group has the group's profiles: take "extends" out, or give it a file of its own`)
	errOwnRules   = errors.New(`only a profile has "rules": move them to one that the group extends`)
)

// group is a file in machines/ that describes several machines: what all of them have,
// with patterns for what differs, and a list of them by number.
type group struct {
	file    string
	extends bool
	doc     *document      // what the group says for all, but for its patterns, as it is written
	common  *jsontext.Node // doc with its profiles, but for their rules; nil if that is broken
	// patterns is what the group says for all with patterns in it.
	patterns *jsontext.Node
	members  []groupMember
	// partial says that some of its machines are not known, because of a mistake.
	partial  bool
	problems jsontext.Problems
}

// groupMember is one machine of a group, as it is listed.
type groupMember struct {
	mac    provision.MAC
	number int
	at     jsontext.Place
	own    *jsontext.Node // what it has for itself; nil if that is nothing
}

// cachedGroup is what was made of a group's file.
type cachedGroup struct {
	state    string // as in cachedFile
	extends  bool
	partial  bool
	members  []cachedMember
	problems jsontext.Problems // of the group as a whole
}

type cachedMember struct {
	at       jsontext.Problem
	mac      provision.MAC
	machine  machineFile
	problems jsontext.Problems
}

// groups reads the files of groups and adds their machines to found. A machine that has a
// file of its own, or is in a group that comes before, is not described a second time.
func (r *siteReader) groups(files []string, same bool, found map[provision.MAC]machineFile) {
	r.grouped = make(map[provision.MAC]string)
	for i, g := range r.readGroups(files, same) {
		r.report(g.problems...)
		for _, m := range g.members {
			if first, twice := found[m.mac]; twice {
				problem := m.at
				problem.Reason = "describes the machine " + string(m.mac) + ", as " + first.file + " does; remove it from one of them"
				if _, isDraft := r.drafts[first.file]; isDraft {
					problem = jsontext.About(first.file, "the machine is one of those in %s: change it there, or take it out there first", files[i])
				}
				r.report(problem)
				continue
			}
			r.reportOf(m.mac, m.problems...)
			if m.machine.broken && len(m.problems) == 0 {
				r.reportOf(m.mac, g.problems...)
			}
			found[m.mac], r.grouped[m.mac] = m.machine, files[i]
		}
		if g.partial {
			r.keepGroup(files[i], g.problems, found)
		}
	}
}

// keepGroup keeps the machines that a group had when it was last read without a mistake.
func (r *siteReader) keepGroup(file string, problems jsontext.Problems, found map[provision.MAC]machineFile) {
	for i := range r.last.machines.specs {
		spec := &r.last.machines.specs[i]
		if _, there := found[spec.MAC]; spec.Group == file && !there {
			found[spec.MAC], r.grouped[spec.MAC] = machineFile{file: file, broken: true}, file
			r.reportOf(spec.MAC, problems...)
		}
	}
}

// readGroups reads the files of groups, several at once. One that has not changed is not
// read again.
func (r *siteReader) readGroups(files []string, same bool) []cachedGroup {
	results := make([]cachedGroup, len(files))
	var tasks errgroup.Group
	tasks.SetLimit(runtime.GOMAXPROCS(0))
	for i, file := range files {
		state := r.state(file)
		if last, ok := r.files.groups[file]; ok && state != "" && last.state == state && (same || !last.extends) && r.judged(last.members) {
			results[i] = last
			continue
		}
		tasks.Go(func() error {
			results[i] = r.readGroup(file, state)
			return nil
		})
	}
	_ = tasks.Wait() // problems are in the results
	r.files.groups = make(map[string]cachedGroup, len(files))
	for i, file := range files {
		r.files.groups[file] = results[i]
	}
	return results
}

// judged says whether the rules of profiles still say the same of the machines of a group.
func (r *siteReader) judged(members []cachedMember) bool {
	return !slices.ContainsFunc(members, func(m cachedMember) bool { return !r.stands(m.machine) })
}

func (r *siteReader) readGroup(file, state string) cachedGroup {
	root, problems, found, read := r.readFile(file)
	if !found {
		return cachedGroup{}
	}
	if !read {
		state = ""
	}
	g := r.newGroup(file, root, problems)
	cached := cachedGroup{state: state, extends: g.extends, partial: g.partial, problems: g.problems}
	for _, m := range g.members {
		one := cachedMember{at: m.at.Problem(""), mac: m.mac, machine: machineFile{file: file, broken: true}}
		if g.common != nil {
			one.machine, one.problems = r.decodeMember(g, m)
		}
		cached.members = append(cached.members, one)
	}
	return cached
}

// newGroup reads what a group says for all, and the list of its machines.
func (r *siteReader) newGroup(file string, root *jsontext.Node, problems jsontext.Problems) *group {
	g := &group{file: file, problems: problems}
	if len(problems) > 0 {
		g.partial = true
		return g
	}
	list := root.Child(machinesKey)
	if list == nil {
		g.partial = true
		g.problems = jsontext.Problems{jsontext.About(file, `the file's name is not a MAC address; want one such as 52:54:00:12:34:56.json, or in the file "machines", which makes it a group`)}
		return g
	}
	common := root.Without(machinesKey)
	g.patterns = common
	for _, m := range common.Members() {
		if slices.Contains(patterned, m.Name) {
			common = common.Without(m.Name)
		} else {
			g.patterns = g.patterns.Without(m.Name)
		}
	}
	g.doc = newDocument(file, common, nil)
	g.extends = len(g.doc.extends) > 0
	if g.common, problems = r.resolve(g.doc, nil); len(problems) > 0 {
		g.common, g.problems = nil, problems
	}
	g.list(list)
	return g
}

// list reads the list of a group's machines.
func (g *group) list(n *jsontext.Node) {
	if !n.IsObject() {
		g.partial = true
		g.problems = append(g.problems, keys.Wants(n, `an object {…} of machines by number, such as {"1": "52:54:00:12:34:56"}, so that a machine keeps its number when another one is taken out`)...)
		return
	}
	lineOf := make(map[provision.MAC]int)
	for _, m := range n.Members() {
		one, err := member(m)
		if err == nil {
			err = one.check()
		}
		if err != nil {
			g.partial = true
			g.problems = append(g.problems, m.Place().Problem("%s", err))
			continue
		}
		at := one.at.Problem("")
		if first, twice := lineOf[one.mac]; twice {
			g.problems = append(g.problems, one.at.Problem("describes the machine %s, as line %d does; remove one of them", one.mac, first))
			continue
		}
		lineOf[one.mac] = at.Line
		g.members = append(g.members, one)
	}
}

// member reads one machine of a group: its MAC, or an object that has more.
func member(m jsontext.Member) (one groupMember, err error) {
	one.at = m.Place()
	text, isText := m.Value.Text()
	if !isText {
		if one.own = m.Value; !one.own.IsObject() {
			return one, errMember
		}
		mac := one.own.Child("mac")
		if mac == nil {
			return one, errMember
		}
		if text, isText = mac.Text(); !isText {
			return one, errMember
		}
		one.own = one.own.Without("mac")
	}
	if one.mac, err = provision.ParseMAC(text); err != nil {
		return one, err
	}
	if one.number, err = strconv.Atoi(m.Name); err != nil || strconv.Itoa(one.number) != m.Name || one.number < 0 || one.number > maxNumber {
		return one, errNumber
	}
	return one, nil
}

// check refuses keys that the machines of a group cannot have for themselves.
func (m *groupMember) check() error {
	if m.own != nil && m.own.Child("extends") != nil {
		return errOwnExtends
	}
	if m.own != nil && m.own.Child(keys.RulesKey) != nil {
		return errOwnRules
	}
	return nil
}

// decodeMember makes a machine of what the group says for all and what is the machine's own.
// All its problems, and those that others have with it, are where it is listed.
func (r *siteReader) decodeMember(g *group, m groupMember) (machineFile, jsontext.Problems) {
	merged, ruling, problems := r.merge(g, m)
	file := machineFile{file: g.file, broken: true}
	if len(problems) == 0 {
		file.spec, problems = keys.DecodeSpec(m.mac, merged)
		file.spec.Profiles, file.spec.Rules = r.extended(g.doc, nil), ruling
	}
	file.spec.MAC = m.mac
	if len(problems) > 0 {
		return file, problems
	}
	at := m.at.Problem("")
	file.broken, file.spec.Group = false, g.file
	file.address, file.hostname, file.cards, file.uuid = at, at, at, at
	return file, keys.Notices(merged)
}

// patterned are the keys of a group whose texts are patterns. Others have braces of their
// own: templates, shell commands.
var patterned = []string{"hostname", "address", "power", "network", "vars"}

// merge is what the file of a machine would say if it had one of its own.
func (r *siteReader) merge(g *group, m groupMember) (merged *jsontext.Node, ruling *provision.Ruling, problems jsontext.Problems) {
	own, problems := m.fill(g.patterns)
	merged = g.common
	if g.doc.ruled {
		merged, ruling, _ = r.settle(m.mac, g.doc) // it has no problems, or common were nil
	}
	merged = mergeFiles(merged, own)
	if m.own != nil {
		own, more := m.fill(m.own)
		merged, problems = mergeFiles(merged, own), append(problems, more...)
	}
	return merged, ruling, problems
}

// fill fills in the patterns of an object of the group's file. Profiles have none.
func (m groupMember) fill(n *jsontext.Node) (filled *jsontext.Node, problems jsontext.Problems) {
	filled = n
	for _, key := range patterned {
		value := n.Child(key)
		if value == nil {
			continue
		}
		full := value.MapTexts(m.at, func(text string) string {
			full, err := naming.FillNumber(text, m.number)
			if err != nil && (key == "vars" || key == "power") {
				err = errors.New("a text in it, which may be secret and is not shown, is no pattern: want {n}, {n+10} or {n:02}, and {{ or }} for a brace")
			}
			if err != nil {
				problems = append(problems, value.Problem("%s", err))
			}
			return full
		})
		if full != value {
			filled = filled.With(key, full)
		}
	}
	return filled, problems
}

// inGroup finds the machine of a group, for those who ask where something is said.
func (r *siteReader) inGroup(g *group, mac provision.MAC) *jsontext.Node {
	i := slices.IndexFunc(g.members, func(m groupMember) bool { return m.mac == mac })
	if i < 0 || g.common == nil {
		return nil
	}
	merged, _, problems := r.merge(g, g.members[i])
	if len(problems) > 0 {
		return nil
	}
	return merged
}
