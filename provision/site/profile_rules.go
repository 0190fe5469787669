package site

import (
	"fmt"
	"maps"
	"slices"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/provision/site/keys"
)

// newProfile is the document of a profile, which alone may have rules.
func newProfile(file string, root *jsontext.Node, problems jsontext.Problems) *document {
	var rules *jsontext.Node
	if root != nil && root.IsObject() {
		rules, root = root.Child(keys.RulesKey), root.Without(keys.RulesKey)
	}
	d := newDocument(file, root, problems)
	if rules != nil && !rules.IsNull() {
		var wrong jsontext.Problems
		d.rules, wrong = keys.ReadRules(rules)
		d.problems = append(d.problems, wrong...)
	}
	return d
}

// checkRules reports the mistakes in what the rules of a profile set, whether they match a
// machine or not. merged is the profile without them.
func (r *siteReader) checkRules(v *view, d *document, merged *jsontext.Node) {
	for _, rule := range d.rules {
		_, problems := keys.DecodeSpec("", mergeFiles(merged, rule.Set))
		r.report(problems...)
		image := rule.Set.Child("image")
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
		if v.Matches, v.Why = rule.When.Judge(ruling.Found); v.Matches {
			merged = mergeFiles(merged, rule.Set)
		}
		ruling.Add(v)
	}
	return merged
}
