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

// Selector tells the paths that are meant by some classes. With [Other] among
// them it is every path but those of the classes that are left out; without
// it, the paths of the classes that are named. So all but Volatile is an image
// as it travels: a template that is volatile is no part of it.
func (m *Manifest) Selector(classes []Class) func(path string) bool {
	others := slices.Contains(classes, Other)
	var of []func(string) bool // what is left out, or what is meant
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

// membership tells the paths of one class.
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
