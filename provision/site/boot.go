package site

import (
	"errors"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// setBoot reads what a machine boots while no install is to be done: "local", or an
// object that names the image whose kernel it boots as it is.
func setBoot(s *provision.Spec, n *jsontext.Node) jsontext.Problems {
	s.Boot = &provision.FileBoot{}
	if text, ok := n.Text(); ok {
		s.Boot.Kind = provision.BootKind(text)
		return refused(n, checkBootWord(text))
	}
	if !n.IsObject() {
		return wants(n, `"local", or an object such as {"kernel": "memtest"}`)
	}
	s.Boot.Kind = provision.BootKernel
	return decodeObject(s, n, map[string]field[provision.Spec]{
		"kernel":     textField(setBootImage),
		"entrypoint": plainText(func(s *provision.Spec) *string { return &s.Boot.EntryPoint }),
		"config":     setBootConfig,
	})
}

func checkBootWord(text string) error {
	switch provision.BootKind(text) {
	case provision.BootLocal:
		return nil
	case provision.BootRescue:
		return errors.New("a rescue is ordered once, by `cloudlets boot NAME --once rescue`: a file would start one at each boot")
	case provision.BootKernel:
		return errors.New(`no image is named; want {"kernel": "NAME"}, with the name of a cloudlet in images/`)
	}
	return oneOf(text, string(provision.BootLocal))
}

// setBootImage reads the name of the image as "image" does.
func setBootImage(s *provision.Spec, name string) error {
	var named provision.Spec
	err := setImage(&named, name)
	s.Boot.Image = named.Image
	return err
}

// rescueFields are the keys of what rescue systems are given.
func rescueFields() map[string]field[provision.Rescue] {
	return map[string]field[provision.Rescue]{
		"sshKeys": listField(func(r *provision.Rescue, line string) error { return addSSHKey(&r.SSHKeys, line) }),
	}
}

// setBootConfig reads the configuration for that image.
func setBootConfig(s *provision.Spec, n *jsontext.Node) jsontext.Problems {
	var configured provision.Spec
	problems := setConfig(&configured, n)
	s.Boot.Config = configured.Config
	return problems
}
