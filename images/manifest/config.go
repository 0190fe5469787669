package manifest

import (
	"bytes"
	"encoding/json"
	"maps"

	"cloudlets/images/jsontext"
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

// ParseConfig reads a configuration from strict JSON text. The name says in
// errors whose it is ("config of 52:54:00:12:34:56"); they are
// [jsontext.Problem]s, joined.
func ParseConfig(name string, data []byte) (Config, error) {
	root, problems := jsontext.Parse(name, data)
	if problems != nil {
		return Config{}, problems.Err()
	}
	c, problems := ReadConfig(root)
	if err := problems.Err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// ReadConfig reads a configuration that is a part of another document. Its
// problems are at their places in that.
func ReadConfig(n *jsontext.Node) (c Config, problems jsontext.Problems) {
	for _, m := range n.Members() {
		c.set(m)
	}
	return c, configStructure().Check(n)
}

// set takes over one member of a configuration.
func (c *Config) set(m jsontext.Member) {
	object, _ := m.Value.Plain().(map[string]any)
	switch m.Name {
	case "args":
		c.Args = object
	case "dns":
		c.DNS = object
	case "ip":
		c.IP = object
	default:
		if c.Other == nil {
			c.Other = map[string]any{}
		}
		c.Other[m.Name] = m.Value.Plain()
	}
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
