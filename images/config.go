package images

import (
	"bytes"
	"encoding/json"
	"maps"
)

// Config is what a user wants of one copy of an image. Its values are as
// encoding/json decodes them, with numbers as [json.Number] so that none is
// rounded. [Manifest.Complete] checks it and fills in what it leaves out.
type Config struct {
	// Args are the image's own arguments, by the schema of its manifest.
	Args map[string]any
	// DNS is how the copy resolves names: a list "nameservers", and whatever
	// else its templates understand.
	DNS map[string]any
	// IP is how the copy is on the network: a list "interfaces", and
	// whatever else its templates understand.
	IP map[string]any
	// Other is what stands beside the three. Templates see it in "config".
	Other map[string]any
}

// ParseConfig reads a configuration from JSON text. The name says in errors
// whose it is ("config of 52:54:00:12:34:56"); they are [Problem]s, joined.
func ParseConfig(name string, data []byte) (Config, error) {
	r := &report{file: name, data: data}
	root, ok := parseDocument(r)
	if !ok {
		return Config{}, r.err()
	}
	members, ok := root.value.([]member)
	if !ok {
		r.add(root.offset, "", "is %s where an object is needed", root.kind())
		return Config{}, r.err()
	}
	var c Config
	for _, m := range members {
		c.set(r, m)
	}
	return c, r.err()
}

// set takes over one member of a configuration's text.
func (c *Config) set(r *report, m member) {
	switch m.name {
	case "args":
		c.Args = section(r, m, "")
	case "dns":
		c.DNS = section(r, m, "nameservers")
	case "ip":
		c.IP = section(r, m, "interfaces")
	default:
		if c.Other == nil {
			c.Other = map[string]any{}
		}
		c.Other[m.name] = m.value.plain()
	}
}

// section reads one of the three objects; list names the member that must be
// an array, if there is one.
func section(r *report, m member, list string) map[string]any {
	members, ok := m.value.value.([]member)
	if !ok {
		r.add(m.value.offset, pointer("", m.name), "is %s where an object is needed", m.value.kind())
		return nil
	}
	for _, inner := range members {
		if _, ok := inner.value.value.([]*node); inner.name == list && !ok {
			r.add(inner.value.offset, pointer(pointer("", m.name), list), "is %s where an array is needed", inner.value.kind())
		}
	}
	object, _ := m.value.plain().(map[string]any)
	return object
}

// IsZero says that nothing at all is configured.
func (c Config) IsZero() bool {
	return len(c.Args) == 0 && len(c.DNS) == 0 && len(c.IP) == 0 && len(c.Other) == 0
}

// MarshalJSON writes the configuration as one object, names sorted.
func (c Config) MarshalJSON() ([]byte, error) {
	object := maps.Clone(c.Other)
	if object == nil {
		object = map[string]any{}
	}
	for name, part := range map[string]map[string]any{"args": c.Args, "dns": c.DNS, "ip": c.IP} {
		if part != nil {
			object[name] = part
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // it is read by people, not by browsers
	if err := encoder.Encode(object); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// UnmarshalJSON is [ParseConfig] for a configuration within a larger
// document. null leaves the configuration as it is.
func (c *Config) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	parsed, err := ParseConfig("config", data)
	if err == nil {
		*c = parsed
	}
	return err
}
