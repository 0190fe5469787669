package site

import (
	"maps"
	"slices"
	"strings"

	"cloudlets/images/jsontext"
	"cloudlets/provision/site/keys"
)

// document is a machine file or a profile as it was written.
type document struct {
	file     string
	root     *jsontext.Node
	extends  []reference
	rules    []keys.ProfileRule // of a profile
	problems jsontext.Problems

	// What resolve made of it. It is kept, so that a profile is merged once,
	// however many files extend it.
	done   bool
	merged *jsontext.Node
	wrong  jsontext.Problems
	ruled  bool // it has rules, or a profile that it extends has
}

// reference is the name of a profile, at its place in the file that extends it.
type reference struct {
	jsontext.Place
	name string
}

func newDocument(file string, root *jsontext.Node, problems jsontext.Problems) *document {
	d := &document{file: file, root: root, problems: problems}
	if root == nil {
		return d
	}
	if !root.IsObject() {
		d.problems = append(d.problems, keys.Wants(root, "an object {…}")...)
		return d
	}
	if m, has := root.Member(keys.RulesKey); has { // those of a profile were taken out
		d.problems = append(d.problems, m.Place().Problem(`only a profile has "rules": move them to one in %s/, and extend that`, profilesDir))
	}
	d.readExtends(root.Child("extends"))
	return d
}

// readExtends reads the name of one profile, or a list of names.
func (d *document) readExtends(n *jsontext.Node) {
	if n == nil || n.IsNull() {
		return
	}
	names := []*jsontext.Node{n}
	if n.IsArray() {
		names = n.Elements()
	}
	for _, name := range names {
		text, ok := name.Text()
		if !ok {
			d.problems = append(d.problems, keys.Wants(name, "the name of a profile in quotes")...)
			continue
		}
		d.extends = append(d.extends, reference{name.Place(), text})
	}
}

// checkProfiles reports the mistakes in all profiles, whether a machine extends
// them or not.
func (r *siteReader) checkProfiles(v *view) {
	for _, name := range slices.Sorted(maps.Keys(r.profiles)) {
		merged, problems := r.resolve(r.profiles[name], []string{name})
		if len(problems) == 0 {
			_, problems = keys.DecodeSpec("", merged)
		}
		r.report(problems...)
		if len(problems) == 0 {
			r.checkRules(v, r.profiles[name], merged)
		}
	}
}

// resolve merges the profiles that a document extends, in the order in which
// they are named, and the document itself on top of them. The chain names
// the profiles on the way here.
func (r *siteReader) resolve(doc *document, chain []string) (*jsontext.Node, jsontext.Problems) {
	if doc.done {
		return doc.merged, doc.wrong
	}
	if len(doc.problems) > 0 {
		return nil, doc.problems
	}
	var base *jsontext.Node
	var problems jsontext.Problems
	ruled := len(doc.rules) > 0
	for _, ref := range doc.extends {
		profile, wrong := r.profile(ref, chain)
		problems = append(problems, wrong...)
		if profile != nil {
			base = mergeFiles(base, profile)
			ruled = ruled || r.profiles[ref.name].ruled
		}
	}
	doc.ruled = ruled
	doc.done, doc.merged, doc.wrong = true, mergeFiles(base, doc.root), problems
	return doc.merged, doc.wrong
}

// mergeFiles lays a file over what it extends. Tags are added to those that are there;
// null takes them away.
func mergeFiles(base, over *jsontext.Node) *jsontext.Node {
	merged := jsontext.Merge(base, over)
	if base == nil {
		return merged
	}
	was, more := base.Child("tags"), over.Child("tags")
	if was == nil || more == nil || !was.IsArray() || !more.IsArray() {
		return merged
	}
	return merged.With("tags", jsontext.Concat(was, more))
}

// profile resolves one profile for the file that names it.
func (r *siteReader) profile(ref reference, chain []string) (*jsontext.Node, jsontext.Problems) {
	chain = append(slices.Clone(chain), ref.name)
	doc, known := r.profiles[ref.name]
	switch {
	case !known:
		hint := jsontext.DidYouMean(ref.name, slices.Collect(maps.Keys(r.profiles)))
		return nil, jsontext.Problems{ref.Problem("extends %s, but there is no profiles/%s.json%s", arrows(chain), ref.name, hint)}
	case slices.Contains(chain[:len(chain)-1], ref.name):
		return nil, jsontext.Problems{ref.Problem("extends itself: %s; take one of them out", arrows(chain))}
	case len(doc.problems) > 0:
		return nil, jsontext.Problems{ref.Problem("extends %q, which has a mistake: %s", ref.name, doc.problems[0])}
	}
	return r.resolve(doc, chain)
}

// extended adds the profiles that a document extends to a list: each once, and after
// those that it extends itself. It is called once resolve has found no circle.
func (r *siteReader) extended(doc *document, list []string) []string {
	for _, ref := range doc.extends {
		if slices.Contains(list, ref.name) {
			continue
		}
		list = append(r.extended(r.profiles[ref.name], list), ref.name)
	}
	return list
}

func arrows(chain []string) string { return strings.Join(chain, " → ") }
