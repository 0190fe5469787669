package site

import (
	"maps"
	"slices"
	"strings"
)

// document is a machine file or a profile as it was written.
type document struct {
	file     string
	root     *node
	extends  []reference
	problems []FileError

	// What resolve made of it, kept so that a profile that many extend, by
	// many ways, is folded once.
	done   bool
	merged *node
	wrong  []FileError
}

// reference is the name of a profile where a file extends it.
type reference struct {
	position
	name string
}

func newDocument(file string, root *node, problems []FileError) *document {
	d := &document{file: file, root: root, problems: problems}
	if root == nil {
		return d
	}
	if root.kind != '{' {
		d.problems = append(d.problems, root.problem("want an object {…}, have %s", root.describe()))
		return d
	}
	d.readExtends(root.get("extends"))
	return d
}

// readExtends reads the name of one profile, or a list of names.
func (d *document) readExtends(n *node) {
	if n == nil || n.kind == 'n' {
		return
	}
	names := []*node{n}
	if n.kind == '[' {
		names = n.elements
	}
	for _, name := range names {
		if name.kind != '"' {
			d.problems = append(d.problems, name.problem("want the name of a profile in quotes, have %s", name.describe()))
			continue
		}
		d.extends = append(d.extends, reference{name.position, name.literal.String()})
	}
}

// checkProfiles reports the mistakes in profiles, also in those that no
// machine extends yet.
func (r *siteReader) checkProfiles() {
	for _, name := range slices.Sorted(maps.Keys(r.profiles)) {
		merged, problems := r.resolve(r.profiles[name], []string{name})
		if len(problems) == 0 {
			_, problems = decodeSpec("", merged)
		}
		r.report(problems...)
	}
}

// resolve folds the profiles that a document extends into it: in the order in
// which they are named, later wins, the document itself last. The chain names
// the profiles on the way here.
func (r *siteReader) resolve(doc *document, chain []string) (*node, []FileError) {
	if doc.done {
		return doc.merged, doc.wrong
	}
	if len(doc.problems) > 0 {
		return nil, doc.problems
	}
	var base *node
	var problems []FileError
	for _, ref := range doc.extends {
		profile, wrong := r.profile(ref, chain)
		problems = append(problems, wrong...)
		if profile != nil {
			base = mergeNodes(base, profile)
		}
	}
	doc.done, doc.merged, doc.wrong = true, mergeNodes(base, doc.root), problems
	return doc.merged, doc.wrong
}

// profile resolves one profile for the file that names it.
func (r *siteReader) profile(ref reference, chain []string) (*node, []FileError) {
	chain = append(slices.Clone(chain), ref.name)
	doc, known := r.profiles[ref.name]
	switch {
	case !known:
		hint := didYouMean(ref.name, slices.Collect(maps.Keys(r.profiles)))
		return nil, []FileError{ref.problem("extends %s, but there is no profiles/%s.json%s", arrows(chain), ref.name, hint)}
	case slices.Contains(chain[:len(chain)-1], ref.name):
		return nil, []FileError{ref.problem("extends itself: %s; take one of them out", arrows(chain))}
	case len(doc.problems) > 0:
		return nil, []FileError{ref.problem("extends %q, which has a mistake: %s", ref.name, doc.problems[0])}
	}
	return r.resolve(doc, chain)
}

func arrows(chain []string) string { return strings.Join(chain, " → ") }
