package provision

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Conditions are patterns by the names of [Inspection.Attributes]. All of them must match;
// "*" stands for any text, and capitals do not count. The rules for strangers and those of
// profiles have this one language.
type Conditions map[string]string

// unmet returns the name of the first attribute that does not match, and says so in words;
// "" if all match.
func (c Conditions) unmet(have map[string]string) (name, text string) {
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if !matchPattern(c[name], have[name]) {
			return name, fmt.Sprintf("wants %s %q, and it is %q", name, c[name], have[name])
		}
	}
	return "", ""
}

// Judge says whether what was found in a machine meets the conditions, and in words why.
// found is nil for a machine of which nothing is known: it meets none.
func (c Conditions) Judge(found map[string]string) (matches bool, why string) {
	if found == nil {
		return false, "waits, since nothing was found in the machine yet"
	}
	if name, text := c.unmet(found); name != "" {
		return false, text
	}
	return true, "matches"
}

// matchPattern says whether a text matches a pattern, in capitals or not.
func matchPattern(pattern, text string) bool {
	parts := strings.Split(strings.ToLower(pattern), "*")
	text = strings.ToLower(text)
	rest, begins := strings.CutPrefix(text, parts[0])
	if len(parts) == 1 {
		return begins && rest == ""
	}
	if !begins {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, parts[last])
}

// Ruling is what became of the rules in the profiles that a machine's file extends. A nil
// Ruling is that of a machine whose profiles have none.
type Ruling struct {
	// Found are the attributes by which the rules were judged; nil if nothing was known.
	// They are no part of what the site says.
	Found    map[string]string `json:"-"`
	Verdicts []RuleVerdict     // in the order in which the rules apply
}

// RuleVerdict says of one rule whether it applies to a machine.
type RuleVerdict struct {
	Rule    string `json:"rule"` // "rule 1 of profiles/web.json"
	Matches bool   `json:"matches"`
	Why     string `json:"why"` // "matches", or why it does not
}

// Add notes the verdict on a rule, once: a profile may be extended in two ways.
func (r *Ruling) Add(v RuleVerdict) {
	if !slices.Contains(r.Verdicts, v) {
		r.Verdicts = append(r.Verdicts, v)
	}
}

// JudgedBy says whether a machine in which this was found has the same ruling for sure.
func (r *Ruling) JudgedBy(found map[string]string) bool {
	return r == nil || (r.Found == nil) == (found == nil) && maps.Equal(r.Found, found)
}

// String says of each rule whether it applies, in the words of a trace.
func (r *Ruling) String() string {
	if r == nil {
		return ""
	}
	texts := make([]string, len(r.Verdicts))
	for i, v := range r.Verdicts {
		texts[i] = v.Rule + " " + v.Why
	}
	return strings.Join(texts, "; ")
}
