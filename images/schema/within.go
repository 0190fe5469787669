package schema

import (
	"maps"
	"slices"
	"strings"
)

// Within returns the schema in draft 2020-12 for use as a part of another
// schema. At is its place there, e.g. "#/properties/args". The result does not
// require properties with a default, because [Schema.Fill] adds them.
func (s *Schema) Within(at string) map[string]any {
	if _, union := s.modern["type"].([]any); union {
		return map[string]any{"type": "object", "allOf": []any{rebase(withoutDefaulted(s.modern), at+"/allOf/0")}}
	}
	args := rebase(withoutDefaulted(s.modern), at)
	args["type"] = "object"
	return args
}

// withoutDefaulted removes the properties that [Schema.Fill] adds from the
// lists of required properties.
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

// rebase makes references to the schema's root point to at, its new place. A
// schema with an identifier of its own stays as it is, because its references
// are relative to that schema.
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
