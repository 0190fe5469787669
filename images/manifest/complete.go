package manifest

import (
	"cloudlets/images/jsontext"
)

// Complete checks a configuration against the manifest and returns it with
// the defaults filled in. A configuration without "dns" or "ip" gets empty
// ones. The error joins a [jsontext.Problem] for each value that is wrong.
func (m *Manifest) Complete(c Config) (Config, error) {
	root, err := jsontext.FromGo("config for "+m.title(), c)
	if err != nil {
		return Config{}, err
	}
	return m.complete(root)
}

// Validate is [ParseConfig] and [Manifest.Complete] in one: all that is wrong
// with a configuration's text is told at once, each with its line.
func (m *Manifest) Validate(name string, text []byte) (Config, error) {
	root, problems := jsontext.Parse(name, text)
	if problems != nil {
		return Config{}, problems.Err()
	}
	return m.complete(root)
}

// complete checks and fills in the configuration at a node.
func (m *Manifest) complete(root *jsontext.Node) (Config, error) {
	c, problems := ReadConfig(root)
	c.Args, c.DNS, c.IP = orEmpty(c.Args), orEmpty(c.DNS), orEmpty(c.IP)
	for list, part := range map[string]map[string]any{"nameservers": c.DNS, "interfaces": c.IP} {
		if _, ok := part[list]; !ok {
			part[list] = []any{}
		}
	}
	if root.IsObject() && !problems.Within(root.Locate("args")) {
		m.schema.Fill(c.Args)
		problems = append(problems, m.schema.Check(c.Args, func(names ...string) jsontext.Place {
			return root.Locate(append([]string{"args"}, names...)...)
		})...)
	}
	if err := problems.Err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// ValidateArgs is [Manifest.Validate] for the arguments alone: the JSON text
// of what stands under "args" in a configuration.
func (m *Manifest) ValidateArgs(text []byte) (map[string]any, error) {
	root, problems := jsontext.Parse("arguments for "+m.title(), text)
	if problems != nil {
		return nil, problems.Err()
	}
	args, ok := root.Plain().(map[string]any)
	if !ok {
		problems.Add(root.Place(), "is %s where an object is needed", root.Kind())
		return nil, problems.Err()
	}
	m.schema.Fill(args)
	if err := m.schema.Check(args, root.Locate).Err(); err != nil {
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
