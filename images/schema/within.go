package schema

import (
	"maps"
	"slices"
	"strings"
)

// Within is the schema in draft 2020-12, as a part of another schema: at is
// where in that it stands, "#/properties/args". Properties with a default are
// not required by it, for [Schema.Fill] gives it to them.
func (s *Schema) Within(at string) map[string]any {
	if _, union := s.modern["type"].([]any); union {
		return map[string]any{"type": "object", "allOf": []any{rebase(withoutDefaulted(s.modern), at+"/allOf/0")}}
	}
	args := rebase(withoutDefaulted(s.modern), at)
	args["type"] = "object"
	return args
}

// withoutDefaulted takes the properties that [Schema.Fill] gives their default off
// the lists of required ones.
func withoutDefaulted(doc map[string]any) map[string]any {
	doc = maps.Clone(doc)
	properties, ok := doc["properties"].(map[string]any)
	if !ok {
		return doc
	}
	required, _ := doc["required"].([]any)
	required = slices.Clone(required)
	properties = maps.Clone(properties)
	doc["properties"] = properties
	for name, property := range properties {
		about, ok := property.(map[string]any)
		if !ok {
			continue
		}
		if _, ok := about["default"]; ok {
			required = slices.DeleteFunc(required, func(r any) bool { return r == name })
		}
		properties[name] = withoutDefaulted(about)
	}
	if delete(doc, "required"); len(required) > 0 {
		doc["required"] = required
	}
	return doc
}

// rebase has references to the schema's own root lead to where it is now. A
// schema with an identifier of its own takes its root along.
func rebase(doc map[string]any, at string) map[string]any {
	doc = maps.Clone(doc)
	if _, ok := doc["$id"].(string); ok {
		return doc
	}
	for _, keyword := range []string{"$ref", "$dynamicRef"} {
		if ref, ok := doc[keyword].(string); ok && (ref == "#" || strings.HasPrefix(ref, "#/")) {
			doc[keyword] = at + ref[1:]
		}
	}
	return eachSchema(doc, func(inner map[string]any) map[string]any { return rebase(inner, at) })
}
