package images

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// The manifests of 2010 write their schemas in draft-03 of JSON schema, in
// which a property is required unless it says otherwise. This page turns
// such a schema into draft-07, which means the same to today's validators.

// oldDraft says whether a schema follows the rule of draft-03 for required
// properties: unless it names a later draft by "$schema".
func oldDraft(doc map[string]any) bool {
	draft, named := doc["$schema"].(string)
	if !named {
		return true
	}
	for _, old := range []string{"draft-00", "draft-01", "draft-02", "draft-03"} {
		if strings.Contains(draft, old) {
			return true
		}
	}
	return false
}

// modern rewrites a schema and all those within it; implicit says whether
// properties are required where no "required" list tells.
func modern(doc map[string]any, implicit bool) map[string]any {
	if !implicit {
		return doc
	}
	out := maps.Clone(doc)
	delete(out, "$schema")
	delete(out, "optional")
	if list, ok := out["required"].([]any); !ok || len(list) == 0 {
		delete(out, "required") // draft-03's is a boolean, read by the object around it
		if names := requiredOf(out); len(names) > 0 {
			out["required"] = names
		}
	}
	modernType(out)
	modernNumbers(out)
	modernFormat(out)
	for name, value := range out {
		out[name] = modernWithin(name, value)
	}
	return out
}

// modernWithin rewrites the schemas that stand under one keyword.
func modernWithin(keyword string, value any) any {
	switch keyword {
	case "default", "enum", "const", "examples":
		return value // data, not schemas
	case "properties", "patternProperties", "definitions", "$defs", "dependencies":
		object, ok := value.(map[string]any)
		if !ok {
			return value
		}
		out := make(map[string]any, len(object))
		for name := range object {
			out[name] = modernAny(object[name])
		}
		return out
	}
	return modernAny(value)
}

func modernAny(value any) any {
	switch v := value.(type) {
	case map[string]any:
		return modern(v, true)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = modernAny(v[i])
		}
		return out
	}
	return value
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

// modernType rewrites type "any", types that are schemas, and "disallow".
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
	if slices.ContainsFunc(union, func(t any) bool { return kindOf(t) == "object" }) {
		delete(doc, "type")
		doc["anyOf"] = asSchemas(union)
	}
}

func asSchemas(union []any) []any {
	out := make([]any, len(union))
	for i, t := range union {
		if kindOf(t) == "string" {
			t = map[string]any{"type": t}
		}
		out[i] = t
	}
	return out
}

// modernNumbers rewrites bounds that a boolean makes exclusive.
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

// modernFormat renames the formats that were renamed.
func modernFormat(doc map[string]any) {
	switch doc["format"] {
	case "ip-address":
		doc["format"] = "ipv4"
	case "host-name":
		doc["format"] = "hostname"
	}
}
