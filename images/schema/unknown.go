package schema

import (
	"maps"
	"slices"
	"strconv"

	"cloudlets/images/jsontext"
)

// Unknown returns a problem for each name in args that the schema does not
// describe, although it allows it: JSON schema allows any further property unless
// "additionalProperties" forbids that, so a misspelt name is not an error. Where
// the author of the schema says what further names there may be, none is unknown;
// nor is any where the schema describes no property at all. Locate is the same as
// for [Schema.Check].
func (s *Schema) Unknown(args map[string]any, locate func(names ...string) jsontext.Place) jsontext.Problems {
	u := unknown{locate: locate}
	u.look(s.doc, args, nil)
	return u.problems
}

type unknown struct {
	locate   func(names ...string) jsontext.Place
	problems jsontext.Problems
}

// look compares a value with the schema that describes it.
func (u *unknown) look(doc map[string]any, value any, location []string) {
	switch v := value.(type) {
	case map[string]any:
		properties, _ := doc["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			below := append(slices.Clone(location), name)
			if inner, known := properties[name]; known {
				schema, _ := inner.(map[string]any)
				u.look(schema, v[name], below)
			} else if isClosed(doc) {
				u.problems.Add(u.locate(below...), "is not described by the manifest%s", jsontext.DidYouMean(name, described(doc)))
			}
		}
	case []any:
		items, _ := doc["items"].(map[string]any)
		for i, element := range v {
			u.look(items, element, append(slices.Clone(location), strconv.Itoa(i)))
		}
	}
}

// isClosed says whether a schema describes properties, and nothing in it speaks of
// others.
func isClosed(doc map[string]any) bool {
	for _, keyword := range [...]string{
		"additionalProperties", "unevaluatedProperties", "patternProperties", "propertyNames", "dependencies", "dependentSchemas",
		"$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "if", "not", "extends",
	} {
		if _, there := doc[keyword]; there {
			return false
		}
	}
	return len(described(doc)) > 0
}

// described returns the names of the properties that a schema describes.
func described(doc map[string]any) []string {
	properties, _ := doc["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(properties))
}

// at returns the schema of the value to which names lead, as far as it is written
// in place; it is empty if the schema says nothing of it.
func (s *Schema) at(location []string) map[string]any {
	doc := s.doc
	for _, name := range location {
		if inner, ok := field(doc["properties"], name).(map[string]any); ok {
			doc = inner
		} else {
			doc, _ = doc["items"].(map[string]any)
		}
	}
	return doc
}
