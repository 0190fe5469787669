package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The manifests of 2010 have schemas in draft-03 of JSON schema, in which a
// property is required unless its schema says otherwise. This file converts
// such a schema, and those of later drafts, to draft 2020-12, which today's
// validators understand. The meaning stays the same.

// draft is the version of JSON schema in which a schema is written.
type draft int

const (
	unnamed   draft = 0 // a schema without "$schema": draft-03, where no later draft says more
	draft3    draft = 3 // also earlier drafts
	draft4    draft = 4
	draft6    draft = 6
	draft7    draft = 7
	draft2019 draft = 2019
	draft2020 draft = 2020
)

// draftOf returns the draft that a schema's "$schema" names.
func draftOf(doc map[string]any) (draft, error) {
	uri, named := doc["$schema"].(string)
	if !named {
		return unnamed, nil
	}
	for part, d := range map[string]draft{
		"/draft-00/": draft3, "/draft-01/": draft3, "/draft-02/": draft3, "/draft-03/": draft3, "/draft-04/": draft4,
		"/draft-06/": draft6, "/draft-07/": draft7, "/draft/2019-09/": draft2019, "/draft/2020-12/": draft2020,
	} {
		if strings.Contains(uri, part) {
			return d, nil
		}
	}
	return 0, fmt.Errorf("its \"$schema\" names %q, which is no known version of JSON schema: draft-03 to draft-07, 2019-09 and 2020-12 are", uri)
}

// modern returns a schema of draft d, and all schemas within it, in draft
// 2020-12.
func (d draft) modern(doc map[string]any) map[string]any {
	out := maps.Clone(doc)
	delete(out, "$schema")
	if d <= draft3 {
		modernRequired(out)
		modernType(out)
		modernFormat(out)
	}
	if d <= draft4 {
		modernNumbers(out)
	}
	if d <= draft7 {
		modernReference(out, d)
		modernDependencies(out)
	}
	if d <= draft2019 {
		modernItems(out)
	}
	return eachSchema(out, d.modern)
}

// eachSchema replaces the schemas directly within doc. It changes doc and
// returns it.
func eachSchema(doc map[string]any, replace func(map[string]any) map[string]any) map[string]any {
	for keyword, value := range doc {
		switch keyword {
		case "default", "enum", "const", "examples", "required", "dependentRequired", "$vocabulary":
			// data, not schemas
		case "properties", "patternProperties", "definitions", "$defs", "dependentSchemas":
			object, ok := value.(map[string]any)
			if !ok {
				continue
			}
			named := make(map[string]any, len(object))
			for name := range object {
				named[name] = replaceAny(object[name], replace)
			}
			doc[keyword] = named
		default:
			doc[keyword] = replaceAny(value, replace)
		}
	}
	return doc
}

func replaceAny(value any, replace func(map[string]any) map[string]any) any {
	switch v := value.(type) {
	case map[string]any:
		return replace(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = replaceAny(v[i], replace)
		}
		return out
	}
	return value
}

// modernRequired lists the properties that draft-03 requires. If the schema
// has such a list already, the list stays as it is.
func modernRequired(doc map[string]any) {
	delete(doc, "optional")
	if _, ok := doc["required"].([]any); ok {
		return
	}
	delete(doc, "required") // in draft-03 it is a boolean, which requiredOf reads for the object around it
	if names := requiredOf(doc); len(names) > 0 {
		doc["required"] = names
	}
}

// requiredOf lists the properties that are neither optional nor defaulted.
func requiredOf(doc map[string]any) []any {
	properties, _ := doc["properties"].(map[string]any)
	var names []any
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		about, _ := properties[name].(map[string]any)
		_, defaulted := about["default"]
		if about["optional"] != true && about["required"] != false && !defaulted {
			names = append(names, name)
		}
	}
	return names
}

// modernType rewrites type "any", types that are schemas, "disallow" and
// "extends".
func modernType(doc map[string]any) {
	if banned, ok := doc["disallow"]; ok {
		delete(doc, "disallow")
		doc["not"] = map[string]any{"type": banned}
	}
	if base, ok := doc["extends"]; ok {
		delete(doc, "extends")
		if _, list := base.([]any); !list {
			base = []any{base}
		}
		doc["allOf"] = base
	}
	if doc["type"] == "any" {
		delete(doc, "type")
	}
	union, _ := doc["type"].([]any)
	if slices.Contains(union, any("any")) {
		delete(doc, "type")
		return
	}
	if slices.ContainsFunc(union, isObject) {
		delete(doc, "type")
		doc["anyOf"] = asSchemas(union)
	}
}

func isObject(value any) bool { _, ok := value.(map[string]any); return ok }

// asSchemas turns each name of a type into a schema.
func asSchemas(union []any) []any {
	out := make([]any, len(union))
	for i, t := range union {
		if name, ok := t.(string); ok {
			t = map[string]any{"type": name}
		}
		out[i] = t
	}
	return out
}

// modernNumbers rewrites "divisibleBy", and bounds that a boolean makes
// exclusive.
func modernNumbers(doc map[string]any) {
	if by, ok := doc["divisibleBy"]; ok {
		delete(doc, "divisibleBy")
		doc["multipleOf"] = by
	}
	for exclusive, bound := range map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"} {
		flag, ok := doc[exclusive].(bool)
		if !ok {
			continue
		}
		delete(doc, exclusive)
		if limit, ok := doc[bound].(json.Number); ok && flag {
			delete(doc, bound)
			doc[exclusive] = limit
		}
	}
}

// modernFormat gives formats their names in later drafts.
func modernFormat(doc map[string]any) {
	switch doc["format"] {
	case "ip-address":
		doc["format"] = "ipv4"
	case "host-name":
		doc["format"] = "hostname"
	}
}

// modernReference removes the keywords beside a "$ref" that drafts up to
// draft-07 ignore, and renames identifiers. In a schema that names no draft the
// keywords count, since nobody writes a limit that is meant to be ignored.
func modernReference(doc map[string]any, d draft) {
	if _, ok := doc["$ref"].(string); ok && d != unnamed {
		maps.DeleteFunc(doc, func(keyword string, _ any) bool {
			return !slices.Contains([]string{"$ref", "title", "description", "default", "examples", "definitions", "$defs"}, keyword)
		})
	}
	if id, ok := doc["id"].(string); ok && d == draft4 {
		delete(doc, "id")
		doc["$id"] = id
	}
	if id, _ := doc["$id"].(string); strings.HasPrefix(id, "#") {
		delete(doc, "$id")
		if name := id[1:]; name != "" {
			doc["$anchor"] = name
		}
	}
}

// modernDependencies splits "dependencies" into those on properties, which are
// lists of names, and those that are schemas.
func modernDependencies(doc map[string]any) {
	all, ok := doc["dependencies"].(map[string]any)
	if !ok {
		return
	}
	delete(doc, "dependencies")
	names, schemas := map[string]any{}, map[string]any{}
	for name, needed := range all {
		switch needed := needed.(type) {
		case string: // only in draft-03
			names[name] = []any{needed}
		case []any:
			names[name] = needed
		default:
			schemas[name] = needed
		}
	}
	for keyword, part := range map[string]map[string]any{"dependentRequired": names, "dependentSchemas": schemas} {
		if len(part) > 0 {
			doc[keyword] = part
		}
	}
}

// modernItems renames the list of schemas for an array's first items, the
// schema for the items after them, and "$recursiveRef".
func modernItems(doc map[string]any) {
	rest, hasRest := doc["additionalItems"]
	delete(doc, "additionalItems")
	if first, ok := doc["items"].([]any); ok {
		delete(doc, "items")
		if len(first) > 0 {
			doc["prefixItems"] = first
		}
		if hasRest {
			doc["items"] = rest
		}
	}
	if ref, ok := doc["$recursiveRef"]; ok {
		delete(doc, "$recursiveRef")
		doc["$ref"] = ref
	}
}
