package schema

import "maps"

// expand replaces the shorthand, a map of property names to schemas, by an
// object schema, at the top and in each property.
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

// isShorthand reports whether an object maps property names to schemas. All
// its values are then objects. An argument may be named "type" or "properties",
// so a "properties" whose "type" is a string is the schema of such an argument.
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
