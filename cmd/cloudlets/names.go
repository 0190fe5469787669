package main

import (
	"fmt"
	"strconv"
	"strings"

	"cloudlets/provision"
	"cloudlets/web"
)

// maxNames bounds how many names a person's ranges may stand for.
const maxNames = 10000

// expandNames returns the names that arguments stand for: node[1-3,7] is node1, node2,
// node3 and node7, and node[01-12] has two digits in each. It returns nil for no
// arguments.
func expandNames(args []string) (names []string, err error) {
	for _, arg := range args {
		more, err := expandName(arg)
		if err != nil {
			return nil, err
		}
		if names = append(names, more...); len(names) > maxNames {
			return nil, fmt.Errorf("%.80q stands for more than %d machines", arg, maxNames)
		}
	}
	return names, nil
}

func expandName(name string) ([]string, error) {
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
		if len(names)+len(numbers)*len(tails) > maxNames {
			return nil, fmt.Errorf("%.80q stands for more than %d machines", name, maxNames)
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
	case to-from >= maxNames:
		return nil, fmt.Errorf("it has more than %d numbers", maxNames)
	}
	var numbers []string
	for n := from; n <= to; n++ {
		numbers = append(numbers, fmt.Sprintf("%0*d", len(first), n))
	}
	return numbers, nil
}

// nameSet is a set of machines that a person named: by a MAC, by the hostname, or by the
// first part of that.
type nameSet struct {
	macs  map[provision.MAC]bool
	names map[string]bool
}

func newNameSet(names []string) nameSet {
	set := nameSet{make(map[provision.MAC]bool), make(map[string]bool)}
	for _, name := range names {
		if mac, err := provision.ParseMAC(name); err == nil {
			set.macs[mac] = true
		} else {
			set.names[strings.ToLower(name)] = true
		}
	}
	return set
}

func (s nameSet) has(m web.Machine) bool {
	hostname := strings.ToLower(m.Hostname)
	short, _, _ := strings.Cut(hostname, ".")
	return s.macs[m.MAC] || s.names[hostname] || s.names[short]
}
