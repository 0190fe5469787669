package schema

import "maps"

// expand undoes the shorthand: a map of property to schema in place of an
// object schema, at the top and for each property.
func expand(doc map[string]any) map[string]any {
	if isShorthand(doc) {
		doc = map[string]any{"type": "object", "properties": doc}
	}
	properties, ok := doc["properties"].(map[string]any)
	if !ok {
		return doc
	}
	expanded := make(map[string]any, len(properties))
	for name, property := range properties {
		if object, ok := property.(map[string]any); ok {
			property = expand(object)
		}
		expanded[name] = property
	}
	doc = maps.Clone(doc)
	doc["properties"] = expanded
	return doc
}

// isShorthand says whether an object maps property names to schemas: it
// gives no type of its own and holds nothing but objects. An argument may be
// named "type" or "properties".
func isShorthand(doc map[string]any) bool {
	if len(doc) == 0 {
		return false
	}
	for _, value := range doc {
		if _, ok := value.(map[string]any); !ok {
			return false
		}
	}
	properties, ok := doc["properties"].(map[string]any)
	if !ok {
		return true
	}
	_, isSchema := properties["type"].(string)
	return isSchema
}
