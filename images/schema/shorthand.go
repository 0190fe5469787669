package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// expand replaces the shorthand, a map of property names to schemas, by an
// object schema. Only the whole "args" can be a shorthand: within them, a
// keyword such as "items" cannot be told from the name of a property.
func expand(doc map[string]any) map[string]any {
	if !isShorthand(doc) {
		return doc
	}
	return map[string]any{"type": "object", "properties": doc}
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

// keywords are the keywords of JSON schema, in all drafts.
var keywords = strings.Fields(`additionalItems additionalProperties allOf anyOf const contains contentEncoding contentMediaType contentSchema
	default definitions dependencies dependentRequired dependentSchemas deprecated description disallow divisibleBy else enum examples
	exclusiveMaximum exclusiveMinimum extends format id if items maxContains maxItems maxLength maxProperties maximum minContains minItems
	minLength minProperties minimum multipleOf not oneOf optional pattern patternProperties prefixItems properties propertyNames readOnly
	required then title type unevaluatedItems unevaluatedProperties uniqueItems writeOnly
	$anchor $comment $defs $dynamicAnchor $dynamicRef $id $recursiveAnchor $recursiveRef $ref $schema $vocabulary`)

// checkNested returns an error if a property has a shorthand in the place of a
// schema. As a schema it would have no known keyword, and allow everything.
func checkNested(doc map[string]any) error {
	properties, _ := doc["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property, ok := properties[name].(map[string]any)
		if !ok {
			continue
		}
		if isNested(property) {
			return fmt.Errorf("%q has the names of properties where a schema is needed: write \"%s\": {\"type\": \"object\", \"properties\": {…}}, since only the args as a whole can be a plain map of names to schemas", name, name)
		}
		if err := checkNested(property); err != nil {
			return err
		}
	}
	return nil
}

// isNested reports whether an object has no keyword, and all its values are
// schemas.
func isNested(doc map[string]any) bool {
	for name, value := range doc {
		inner, ok := value.(map[string]any)
		if !ok || slices.Contains(keywords, name) || strings.HasPrefix(name, "x-") ||
			!slices.ContainsFunc(keywords, func(k string) bool { _, has := inner[k]; return has }) {
			return false
		}
	}
	return len(doc) > 0
}
