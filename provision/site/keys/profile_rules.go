package keys

import (
	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// RulesKey is the key of a profile that has its rules. No other file has it.
const RulesKey = "rules"

// maxProfileRules bounds the rules of one profile.
const maxProfileRules = 64

// ProfileRule is what a profile says for those machines only in which something was found.
type ProfileRule struct {
	// When says what must have been found; it has at least one condition.
	When provision.Conditions
	// Set is an object with keys of a profile. What they mean can be read once they are
	// merged with the profile.
	Set *jsontext.Node
}

func profileRuleFields() fields[ProfileRule] {
	return fields[ProfileRule]{
		"description": description[ProfileRule](),
		"when":        whenField(func(r *ProfileRule) *provision.Conditions { return &r.When }),
		"set": valueField("object", setOfRule).says("What counts for the machines that match: any keys that a profile may have, except for rules and extends.", "",
			`{"disk": {"model": "DELLBOSS VD"}}`),
	}
}

// setOfRule keeps what a rule sets. What that means is read once it is merged with the
// profile.
func setOfRule(dst *ProfileRule, n *jsontext.Node) (problems jsontext.Problems) {
	if !n.IsObject() {
		return Wants(n, "an object {…} with keys of a profile")
	}
	for _, key := range []string{"extends", RulesKey} {
		if m, has := n.Member(key); has {
			problems = append(problems, m.Place().Problem("a rule cannot set %q: which profiles and rules a machine has does not depend on what is found in it", key))
		}
	}
	dst.Set = n
	return problems
}

// ReadRules reads the rules of a profile, the value of [RulesKey]. A rule with a mistake is
// in the list too.
func ReadRules(n *jsontext.Node) (rules []ProfileRule, problems jsontext.Problems) {
	if !n.IsArray() {
		return nil, Wants(n, `a list […] of rules, such as [{"when": {"disks": 2}, "set": {…}}]`)
	}
	if len(n.Elements()) > maxProfileRules {
		return nil, jsontext.Problems{n.Problem("a profile may have at most %d rules", maxProfileRules)}
	}
	for _, element := range n.Elements() {
		var rule ProfileRule
		wrong := decodeObject(&rule, element, profileRuleFields())
		switch {
		case len(wrong) > 0:
		case len(rule.When) == 0:
			wrong = jsontext.Problems{element.Problem(`"when" is missing: what counts for all machines stands in the profile itself`)}
		case rule.Set == nil:
			wrong = jsontext.Problems{element.Problem(`"set" is missing, so that the rule would change nothing`)}
		}
		problems, rules = append(problems, wrong...), append(rules, rule)
	}
	return rules, problems
}
