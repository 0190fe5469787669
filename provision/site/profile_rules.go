package site

import (
	"fmt"
	"maps"
	"slices"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// rulesKey has the rules of a profile.
const rulesKey = "rules"

// maxProfileRules bounds the rules of one profile.
const maxProfileRules = 64

// profileRule is what a profile says for those machines only in which something was found.
type profileRule struct {
	when provision.Conditions
	set  *jsontext.Node
}

func profileRuleFields() fields[profileRule] {
	return fields[profileRule]{
		"description": description[profileRule](),
		"when":        whenField(func(r *profileRule) *provision.Conditions { return &r.when }),
		"set": valueField("object", setOfRule).says("What counts for the machines that match: any keys that a profile may have, except for rules and extends.", "",
			`{"disk": {"model": "DELLBOSS VD"}}`),
	}
}

// setOfRule keeps what a rule sets. What that means is read once it is merged with the
// profile.
func setOfRule(dst *profileRule, n *jsontext.Node) (problems jsontext.Problems) {
	if !n.IsObject() {
		return wants(n, "an object {…} with keys of a profile")
	}
	for _, key := range []string{"extends", rulesKey} {
		if m, has := n.Member(key); has {
			problems = append(problems, m.Place().Problem("a rule cannot set %q: which profiles and rules a machine has does not depend on what is found in it", key))
		}
	}
	dst.set = n
	return problems
}

// newProfile is the document of a profile, which alone may have rules.
func newProfile(file string, root *jsontext.Node, problems jsontext.Problems) *document {
	var rules *jsontext.Node
	if root != nil && root.IsObject() {
		rules, root = root.Child(rulesKey), root.Without(rulesKey)
	}
	d := newDocument(file, root, problems)
	if rules != nil && !rules.IsNull() {
		d.readRules(rules)
	}
	return d
}

func (d *document) readRules(n *jsontext.Node) {
	if !n.IsArray() {
		d.problems = append(d.problems, wants(n, `a list […] of rules, such as [{"when": {"disks": 2}, "set": {…}}]`)...)
		return
	}
	if len(n.Elements()) > maxProfileRules {
		d.problems = append(d.problems, n.Problem("a profile may have at most %d rules", maxProfileRules))
		return
	}
	for _, element := range n.Elements() {
		var rule profileRule
		problems := decodeObject(&rule, element, profileRuleFields())
		switch {
		case len(problems) > 0:
		case len(rule.when) == 0:
			problems = jsontext.Problems{element.Problem(`"when" is missing: what counts for all machines stands in the profile itself`)}
		case rule.set == nil:
			problems = jsontext.Problems{element.Problem(`"set" is missing, so that the rule would change nothing`)}
		}
		d.problems = append(d.problems, problems...)
		d.rules = append(d.rules, rule)
	}
}

// checkRules reports the mistakes in what the rules of a profile set, whether they match a
// machine or not. merged is the profile without them.
func (r *siteReader) checkRules(v *view, d *document, merged *jsontext.Node) {
	for _, rule := range d.rules {
		_, problems := decodeSpec("", mergeFiles(merged, rule.set))
		r.report(problems...)
		image := rule.set.Child("image")
		if image == nil || len(problems) > 0 {
			continue
		}
		name, _ := image.Text()
		if _, there := v.imagePath(name); name != "" && !there {
			hint := jsontext.DidYouMean(name, slices.Collect(maps.Keys(v.images)))
			r.report(image.Problem("image %q is not in %s/: put a directory or tarball of that name there%s", name, imagesDir, hint))
		}
	}
}

// found is what is known of a machine's hardware, or nil.
func (r *siteReader) found(mac provision.MAC) map[string]string {
	if r.facts == nil {
		return nil
	}
	return r.facts(mac)
}

// stands says whether the rules of profiles still say the same of a machine as when its file
// was read.
func (r *siteReader) stands(m machineFile) bool {
	return m.spec.Rules == nil || m.spec.Rules.JudgedBy(r.found(m.spec.MAC))
}

// settle merges what counts for one machine: its file on top of the profiles that it
// extends, each with those of its rules that match. It is resolve for a machine.
func (r *siteReader) settle(mac provision.MAC, d *document) (*jsontext.Node, *provision.Ruling, jsontext.Problems) {
	merged, problems := r.resolve(d, nil)
	if len(problems) > 0 || !d.ruled {
		return merged, nil, problems
	}
	ruling := &provision.Ruling{Found: r.found(mac)}
	return r.apply(d, ruling), ruling, nil
}

// apply merges a document that resolve found right, with the rules that match, and adds
// what became of each rule to the ruling.
func (r *siteReader) apply(d *document, ruling *provision.Ruling) *jsontext.Node {
	if !d.ruled {
		return d.merged
	}
	var base *jsontext.Node
	for _, ref := range d.extends {
		base = mergeFiles(base, r.apply(r.profiles[ref.name], ruling))
	}
	merged := mergeFiles(base, d.root)
	for i, rule := range d.rules {
		v := provision.RuleVerdict{Rule: fmt.Sprintf("rule %d of %s", i+1, d.file)}
		if v.Matches, v.Why = rule.when.Judge(ruling.Found); v.Matches {
			merged = mergeFiles(merged, rule.set)
		}
		ruling.Add(v)
	}
	return merged
}
