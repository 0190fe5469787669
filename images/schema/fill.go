package schema

// Fill adds to args the default of each property that they lack, at every
// depth. It changes args. The added values are copies, which args do not share
// with the schema.
func (s *Schema) Fill(args map[string]any) { fillObject(s.doc, args) }

func fillObject(doc, object map[string]any) {
	properties, _ := doc["properties"].(map[string]any)
	for name, property := range properties {
		about, ok := property.(map[string]any)
		if !ok {
			continue
		}
		if value, ok := about["default"]; ok {
			if _, given := object[name]; !given {
				object[name] = clone(value)
			}
		}
		if inner, ok := object[name].(map[string]any); ok {
			fillObject(about, inner)
		}
	}
}

// clone copies a JSON value, so that no two configurations share one.
func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		object := make(map[string]any, len(v))
		for name := range v {
			object[name] = clone(v[name])
		}
		return object
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = clone(v[i])
		}
		return list
	}
	return value
}

// Filled returns a copy of args with the defaults filled in, see [Schema.Fill].
func (s *Schema) Filled(args map[string]any) map[string]any {
	filled, _ := clone(args).(map[string]any)
	if filled == nil {
		filled = map[string]any{}
	}
	s.Fill(filled)
	return filled
}
