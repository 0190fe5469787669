package manifest

import (
	"bytes"
	"encoding/json"
)

// ConfigSchema is the JSON schema (draft 2020-12) of a configuration for
// this image: what it accepts, [Manifest.Complete] accepts. Arguments with a
// default are not required by it; where a schema has rules on what else is
// given ("dependencies", "minProperties"), it is the completed configuration
// that they speak of. It asserts formats, which a validator may have to be
// told.
func (m *Manifest) ConfigSchema() json.RawMessage {
	doc := configStructure().Document()
	properties, _ := doc["properties"].(map[string]any)
	properties["args"] = m.schema.Within("#/properties/args")
	doc["title"] = "configuration for " + m.title()
	if _, err := m.Complete(Config{}); err != nil {
		doc["required"] = []any{"args"}
	}
	return indented(doc)
}

// indented is JSON text for people.
func indented(value any) json.RawMessage {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if encoder.Encode(value) != nil { // what was JSON is JSON
		return nil
	}
	return bytes.TrimRight(text.Bytes(), "\n")
}
