package provision

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cloudlets/provision/naming"
)

// Strangers is what a site does with machines that no file describes. The zero value
// lets them go.
type Strangers struct {
	// Image is whose kernel and drivers they boot to be inspected; "" means that they
	// are let go.
	Image string
	Rules []Rule
}

// Rule approves strangers by what was found in them.
type Rule struct {
	When Conditions
	// Profile, Image and Hostname go into the machine's file. Hostname is a pattern
	// with the names of attributes in braces, and "{n}" for the first number that is
	// free.
	Profile, Image, Hostname string
}

// Decide is [Decide] for a site that may inspect strangers.
func (s Strangers) Decide(spec *Spec, state State) Decision {
	if spec != nil || s.Image == "" {
		return Decide(spec, state)
	}
	return Decision{Action: ActionInspect, Reason: strangerReason(state) + "; it is inspected by the image " + s.Image + ", and waits for `cloudlets approve`"}
}

// Verdict is what the rules say of a stranger.
type Verdict struct {
	Rule *Rule // the first that matches, or nil
	// Why says which rule matches, and why those before it do not.
	Why string
}

// Judge finds the first rule that matches a stranger. While the agent still listens for
// switches, a rule that asks for them is not passed over.
func (s Strangers) Judge(i Inspection) Verdict {
	var why []string
	have := i.Attributes()
	for n := range s.Rules {
		rule := &s.Rules[n]
		text, matches, unknown := rule.matches(have, i.Listening)
		why = append(why, fmt.Sprintf("rule %d %s", n+1, text))
		if matches {
			return Verdict{rule, strings.Join(why, "; ")}
		}
		if unknown {
			break
		}
	}
	return Verdict{nil, strings.Join(why, "; ")}
}

// matches says in words whether a rule matches.
func (r *Rule) matches(have map[string]string, listening bool) (text string, matches, unknown bool) {
	switch name, text := r.When.unmet(have); {
	case name == "":
	case listening && heard(name) && have[name] == "":
		return fmt.Sprintf("asks for the %s, and no switch has said what it is yet", name), false, true
	default:
		return text, false, false
	}
	name, err := naming.Parse(r.Hostname)
	if listening && err == nil && (name.Has("port") && have["port"] == "" || name.Has("switch") && have["switch"] == "") {
		return "makes a name of the switch, and no switch has said what it is yet", false, true
	}
	return "matches", true, false
}

// heard says whether an attribute is what switches say.
func heard(name string) bool { return name == "switch" || name == "port" }

// CheckNamePattern refuses a pattern for names that asks for what there is not.
func CheckNamePattern(pattern string) error {
	return naming.Check(pattern, append([]string{"n"}, slices.Sorted(maps.Keys(Inspection{}.Attributes()))...)...)
}

// maxNumber bounds the numbers that are tried for "{n}".
const maxNumber = 100_000

// Name makes the hostname of a stranger. taken says whether another machine has a name.
// The site judges whether it is a hostname.
func (r *Rule) Name(i Inspection, taken func(string) bool) (string, error) {
	pattern, err := naming.Parse(r.Hostname)
	if err != nil {
		return "", err
	}
	have := i.Attributes()
	fill := func(n int) (string, error) {
		return pattern.Fill(func(name string) (string, error) {
			if name == "n" {
				return strconv.Itoa(n), nil
			}
			value := hostnamePart(have[name])
			if value == "" {
				return "", fmt.Errorf("it has no %s", name)
			}
			return value, nil
		})
	}
	name, err := fill(1)
	if err != nil {
		return "", fmt.Errorf("its name cannot be made of %q: %w", r.Hostname, err)
	}
	for n := 2; pattern.Has("n") && taken(name) && n <= maxNumber; n++ {
		if name, err = fill(n); err != nil {
			return "", fmt.Errorf("its name cannot be made of %q: %w", r.Hostname, err)
		}
	}
	if taken(name) {
		return "", fmt.Errorf("its name would be %s, and another machine has that; a name made with {n} or {serial} is unique", name)
	}
	return name, nil
}

// hostnamePart makes what a machine says of itself part of a hostname: "Ethernet1/7"
// becomes "ethernet1-7".
func hostnamePart(text string) string {
	return strings.Trim(strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c - 'A' + 'a'
		}
		return '-'
	}, text), "-")
}
