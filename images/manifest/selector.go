package manifest

import "slices"

// Class is a kind of path that a manifest knows: a path may be of several.
type Class string

// The classes of paths. Other stands for all that is of none of the three.
const (
	Templates  Class = "templates"
	Persistent Class = "persistent"
	Volatile   Class = "volatile"
	Other      Class = "other"
)

// Selector returns a function that says whether a path is of some classes.
// Without [Other], a path has to be of one of them. With it, a path must not be
// of any class that is left out: all classes but Volatile are the image as it
// travels, without a template that is volatile.
func (m *Manifest) Selector(classes []Class) func(path string) bool {
	others := slices.Contains(classes, Other)
	var of []func(string) bool // the classes that are left out, or those that are meant
	for _, c := range []Class{Templates, Persistent, Volatile} {
		if slices.Contains(classes, c) != others {
			of = append(of, m.membership(c))
		}
	}
	return func(p string) bool {
		for _, in := range of {
			if in(p) {
				return !others
			}
		}
		return others
	}
}

// membership says which paths are of one class.
func (m *Manifest) membership(c Class) func(path string) bool {
	switch c {
	case Templates:
		return func(p string) bool { return slices.Contains(m.Templates, inside(p)) }
	case Persistent:
		return m.IsPersistent
	default:
		return m.IsVolatile
	}
}
