package roster

import (
	"slices"
	"strings"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/naming"
)

// entry is a machine in the roster. It is never changed, but replaced.
type entry struct {
	mac      provision.MAC
	place    place
	names    Names
	has      string   // the image on its disk
	profiles []string // see [provision.Spec.Profiles]
	tags     []string
	group    string // see [provision.Spec.Group]
	cards    []provision.MAC
	seen     time.Time // when its latest event was
	text     string    // what a search looks into, in lower case
}

// place says in which lists a machine is, and where.
type place struct {
	key                           string // orders the lists, and is unique
	stage                         provision.Stage
	installing, waiting, stranger bool
	outdated, quiet               bool
}

// Names are what people call a machine, besides its MAC.
type Names struct {
	Hostname string
	Image    string
	// Address is the IP address that the machine has, or the one that is
	// reserved for it.
	Address string
	Serial  string
	// Cards are the MACs of its further network cards, joined by spaces.
	Cards string
}

// NamesOf returns the names of a machine: what its file says, or else what was seen
// of it. The spec is nil if no file of the site describes it.
func NamesOf(spec *provision.Spec, state provision.State) Names {
	n := Names{
		Hostname: state.Facts["hostname"], Image: state.Facts["image"],
		Address: state.Facts["address"], Serial: state.Facts["serial"],
	}
	if spec == nil {
		return n
	}
	n.Image = spec.Image
	for _, card := range spec.Cards {
		n.Cards = strings.TrimLeft(n.Cards+" "+string(card), " ")
	}
	if spec.Hostname != "" {
		n.Hostname = spec.Hostname
	}
	if n.Address == "" && spec.Address.IsValid() {
		n.Address = spec.Address.String()
	}
	return n
}

// index makes the text for searches, or takes that of the entry before, which may be nil.
func (e *entry) index(before *entry) {
	if before != nil && e.alike(before) {
		e.text = before.text
		return
	}
	n := e.names
	words := append([]string{string(e.mac), n.Hostname, n.Image, n.Address, n.Serial, n.Cards}, e.profiles...)
	e.text = strings.ToLower(strings.Join(words, "\n")) // nobody searches for a line's end
}

// alike says whether whatever selects one of two entries selects the other, too.
func (e *entry) alike(other *entry) bool {
	return e.names == other.names && e.has == other.has && e.group == other.group && slices.Equal(e.profiles, other.profiles) && slices.Equal(e.tags, other.tags)
}

func newEntry(spec *provision.Spec, state provision.State, outdated bool) *entry {
	var hostname, group string
	var profiles, tags []string
	cards := []provision.MAC{state.MAC}
	if spec != nil {
		hostname, group, profiles, tags, cards = spec.Hostname, spec.Group, spec.Profiles, spec.Tags, append(cards, spec.Cards...)
	}
	has := ""
	if state.Has != nil {
		has = state.Has.Image
	}
	installing := state.Installing()
	return &entry{
		mac: state.MAC, names: NamesOf(spec, state), has: has, profiles: profiles, tags: tags, group: group, cards: cards, seen: state.Seen,
		place: place{
			key: sortKey(hostname, state.MAC), stage: state.Stage, installing: installing, stranger: spec == nil,
			outdated: outdated, quiet: state.Quiet != nil,
			waiting: !installing && provision.Decide(spec, state).Action == provision.ActionInstall,
		},
	}
}

// lists are the lists that a machine is in.
func (p place) lists() []List {
	lists := []List{All}
	if slices.Contains(Stages(), p.stage) {
		lists = append(lists, List(p.stage))
	}
	if p.installing {
		lists = append(lists, Installing)
	}
	if p.waiting {
		lists = append(lists, Waiting)
	}
	if p.stranger {
		lists = append(lists, Strangers)
	}
	if p.outdated {
		lists = append(lists, Outdated)
	}
	if p.quiet {
		lists = append(lists, Quiet)
	}
	return lists
}

// sortKey orders machines by the hostname in their file, with numbers by their
// value, and then by MAC. Those without one come last. Names that machines give
// themselves do not count: a machine keeps its place as long as its file does.
func sortKey(hostname string, mac provision.MAC) string {
	if hostname == "" {
		return "\xff" + string(mac)
	}
	return naming.SortKey(hostname) + "\x00" + string(mac)
}
