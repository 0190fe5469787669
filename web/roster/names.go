package roster

import (
	"fmt"
	"strconv"
	"strings"

	"cloudlets/provision"
)

// MaxNames bounds how many names a person's ranges may stand for.
const MaxNames = 10000

// ExpandNames returns the names that arguments stand for: node[1-3,7] is node1, node2,
// node3 and node7, and node[01-12] has two digits in each. It returns nil for no
// arguments.
func ExpandNames(args []string) (names []string, err error) {
	for _, arg := range args {
		more, err := expandName(arg)
		if err != nil {
			return nil, err
		}
		if names = append(names, more...); len(names) > MaxNames {
			return nil, fmt.Errorf("%.80q stands for more than %d machines", arg, MaxNames)
		}
	}
	return names, nil
}

// maxName is the longest name in bytes that may have ranges. Each name that it stands for
// takes as much memory.
const maxName = 512

func expandName(name string) ([]string, error) {
	if len(name) > maxName {
		return nil, fmt.Errorf("%.80q… is too long for a machine's name", name)
	}
	before, rest, ranged := strings.Cut(name, "[")
	if !ranged {
		return []string{name}, nil
	}
	inside, after, closed := strings.Cut(rest, "]")
	if !closed {
		return nil, fmt.Errorf("the range in %.80q has no end; want a name such as node[1-20] or node[1,3,5-9]", name)
	}
	tails, err := expandName(after)
	if err != nil {
		return nil, err
	}
	var names []string
	for part := range strings.SplitSeq(inside, ",") {
		numbers, err := expandRange(part)
		if err != nil {
			return nil, fmt.Errorf("the range in %.80q: %w", name, err)
		}
		if len(names)+len(numbers)*len(tails) > MaxNames {
			return nil, fmt.Errorf("%.80q stands for more than %d machines", name, MaxNames)
		}
		for _, number := range numbers {
			for _, tail := range tails {
				names = append(names, before+number+tail)
			}
		}
	}
	return names, nil
}

// expandRange returns the numbers of "7" or "01-12", with as many digits as the first
// one has.
func expandRange(text string) ([]string, error) {
	first, last, ranged := strings.Cut(text, "-")
	if !ranged {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%.40q is no number", first)
	}
	to, err := strconv.ParseUint(last, 10, 32)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%.40q is no number", last)
	case to < from:
		return nil, fmt.Errorf("%s is after %s", first, last)
	case to-from >= MaxNames:
		return nil, fmt.Errorf("it has more than %d numbers", MaxNames)
	}
	var numbers []string
	for n := from; n <= to; n++ {
		numbers = append(numbers, fmt.Sprintf("%0*d", len(first), n))
	}
	return numbers, nil
}

// NameSet is a set of machines that a person named: by the MAC of any of their cards, by
// the hostname, or by the first part of that.
type NameSet struct {
	macs  map[provision.MAC]bool
	names map[string]bool
}

// ParseNames returns the set of the machines that names and ranges stand for.
func ParseNames(names []string) (NameSet, error) {
	set := NameSet{make(map[provision.MAC]bool), make(map[string]bool)}
	all, err := ExpandNames(names)
	for _, name := range all {
		if mac, err := provision.ParseMAC(name); err == nil {
			set.macs[mac] = true
		} else {
			set.names[strings.ToLower(name)] = true
		}
	}
	return set, err
}

// Has says whether a machine with these cards and this hostname is in the set.
func (s NameSet) Has(hostname string, cards ...provision.MAC) bool {
	for _, card := range cards {
		if s.macs[card] {
			return true
		}
	}
	hostname = strings.ToLower(hostname)
	short, _, _ := strings.Cut(hostname, ".")
	return s.names[hostname] || s.names[short]
}
