package manifest

import "cloudlets/images/jsontext"

// CheckArgs returns what is wrong with the arguments of a configuration, and in
// unknown those that the schema does not describe, as package schema says. It
// leaves args as they are. Locate returns the place of a value, given the names
// and indexes that lead to it from the arguments.
func (m *Manifest) CheckArgs(args map[string]any, locate func(names ...string) jsontext.Place) (wrong, unknown jsontext.Problems) {
	return m.schema.Check(m.schema.Filled(args), locate), m.schema.Unknown(args, locate)
}
