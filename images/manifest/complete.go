package manifest

import (
	"encoding/json"
	"fmt"

	"cloudlets/images/jsontext"
	"cloudlets/images/schema"
)

// Complete checks a configuration against the manifest and returns it with
// the defaults filled in. A configuration without "dns" or "ip" gets empty
// ones. The error joins a [jsontext.Problem] for each value that is wrong.
func (m *Manifest) Complete(c Config) (Config, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration for %s: %w", m.file, err)
	}
	r := &jsontext.Report{File: "config for " + m.title(), Text: text}
	c, ok := readConfig(r)
	r.Text = nil // the text is ours: nobody could look there
	for _, p := range r.Problems {
		p.Offset = 0
	}
	return m.complete(r, c, ok)
}

// Validate is [ParseConfig] and [Manifest.Complete] in one: all that is wrong
// with a configuration's text is told at once.
func (m *Manifest) Validate(name string, text []byte) (Config, error) {
	r := &jsontext.Report{File: name, Text: text}
	c, ok := readConfig(r)
	return m.complete(r, c, ok)
}

// complete fills in and checks what was read, if it is a document at all.
func (m *Manifest) complete(r *jsontext.Report, c Config, ok bool) (Config, error) {
	c.Args, c.DNS, c.IP = orEmpty(c.Args), orEmpty(c.DNS), orEmpty(c.IP)
	for list, part := range map[string]map[string]any{"nameservers": c.DNS, "interfaces": c.IP} {
		if _, ok := part[list]; !ok {
			part[list] = []any{}
		}
	}
	if ok && !r.Told("/args") {
		m.schema.Fill(c.Args)
		m.schema.Check(r, schema.Place{Path: "/args"}, c.Args)
	}
	if err := r.Err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// ValidateArgs is [Manifest.Complete] for the arguments alone: the JSON text
// of what stands under "args" in a configuration. Problems tell where in the
// text.
func (m *Manifest) ValidateArgs(text []byte) (map[string]any, error) {
	r := &jsontext.Report{File: "arguments for " + m.title(), Text: text}
	root, ok := jsontext.Parse(r)
	if !ok {
		return nil, r.Err()
	}
	args, ok := root.Plain().(map[string]any)
	if !ok {
		r.Add(root.Offset, "", "is %s where an object is needed", root.Kind())
		return nil, r.Err()
	}
	m.schema.Fill(args)
	m.schema.Check(r, schema.Place{Root: root}, args)
	if err := r.Err(); err != nil {
		return nil, err
	}
	return args, nil
}

func orEmpty(object map[string]any) map[string]any {
	if object == nil {
		return map[string]any{}
	}
	return object
}
