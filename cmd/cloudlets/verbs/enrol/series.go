package enrol

import (
	"fmt"
	"strings"

	"cloudlets/provision"
	"cloudlets/provision/naming"
	"cloudlets/web/roster"
)

// series gives names and addresses to machines, one after another. A text with a range, such
// as node[1-40], is a list of which each machine takes the next. In a text with braces, such
// as node{n:02} or 10.0.3.{n+10}, {n} is the machine's number.
type series struct {
	number int // of the next machine
	left   map[string][]string
}

func newSeries(first int) *series { return &series{first, make(map[string][]string)} }

// name fills in the name and the address of the next machine.
func (s *series) name(a *provision.Approval) (err error) {
	ranges := func(text string) bool { return strings.Contains(text, "[") }
	numbers := func(text string) bool { return strings.ContainsAny(text, "{}") }
	if both := a.Hostname + a.Address; ranges(both) && numbers(both) {
		return fmt.Errorf("the name %q and the address %q of %s: a range and {n} do not go together, since a range has numbers of its own; write both as ranges, or both with {n}", a.Hostname, a.Address, a.MAC)
	}
	for _, text := range []*string{&a.Hostname, &a.Address} {
		if ranges(*text) {
			*text, err = s.next(*text)
		} else {
			*text, err = naming.FillNumber(*text, s.number)
		}
		if err != nil {
			return fmt.Errorf("name %s: %w", a.MAC, err)
		}
	}
	s.number++
	return nil
}

// next takes the next text of a range.
func (s *series) next(text string) (string, error) {
	left, begun := s.left[text]
	if !begun {
		var err error
		if left, err = roster.ExpandNames([]string{text}); err != nil {
			return "", err
		}
	}
	if len(left) == 0 {
		return "", fmt.Errorf("there are more machines than %.80q has names", text)
	}
	s.left[text] = left[1:]
	return left[0], nil
}
