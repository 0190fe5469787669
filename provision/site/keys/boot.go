package keys

import (
	"errors"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// setBoot reads what a machine boots while no install is to be done: "local", "live", or an
// object that names the image whose kernel it boots as it is.
func setBoot(s *provision.Spec, n *jsontext.Node) jsontext.Problems {
	s.Boot = &provision.FileBoot{}
	if text, ok := n.Text(); ok {
		s.Boot.Kind = provision.BootKind(text)
		return refused(n, checkBootWord(text))
	}
	if !n.IsObject() {
		return Wants(n, `"local", "live", or an object such as {"kernel": "memtest"}`)
	}
	s.Boot.Kind = provision.BootKernel
	return decodeObject(s.Boot, n, bootFields())
}

func bootFields() fields[provision.FileBoot] {
	return fields[provision.FileBoot]{
		"kernel":     textField(setBootImage).says("The image whose kernel is booted as it is.", `""`, `"memtest"`),
		"entrypoint": plainText(func(b *provision.FileBoot) *string { return &b.EntryPoint }).says("The entry point of that image.", "the image's own default", `"efi"`),
		"config":     valueField("object", setBootConfig).with(configFields().keys(provision.Spec{})).says("The configuration for that image.", `{}`, `{"args": {"tests": 3}}`),
	}
}

func checkBootWord(text string) error {
	switch provision.BootKind(text) {
	case provision.BootLocal, provision.BootLive:
		return nil
	case provision.BootRescue:
		return errors.New("a rescue is ordered once, by `cloudlets boot NAME --once rescue`: a file would start one at each boot")
	case provision.BootKernel:
		return errors.New(`no image is named; want {"kernel": "NAME"}, with the name of a cloudlet in images/`)
	}
	return oneOf(text, string(provision.BootLocal), string(provision.BootLive))
}

// setBootImage reads the name of the image as "image" does.
func setBootImage(b *provision.FileBoot, name string) error {
	var named provision.Spec
	err := setImage(&named, name)
	b.Image = named.Image
	return err
}

// rescueFields are the keys of what rescue systems are given.
func rescueFields() fields[provision.Rescue] {
	return fields[provision.Rescue]{
		"sshKeys": listField(func(r *provision.Rescue, line string) error { return addSSHKey(&r.SSHKeys, line) }).
			says("Public keys of who may log in as root.", `[]`, `["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ann@desk"]`),
	}
}

func setRescue(s *provision.Spec, n *jsontext.Node) jsontext.Problems {
	s.Rescue = &provision.Rescue{}
	return decodeObject(s.Rescue, n, rescueFields())
}

// setBootConfig reads the configuration for that image.
func setBootConfig(b *provision.FileBoot, n *jsontext.Node) jsontext.Problems {
	var configured provision.Spec
	problems := setConfig(&configured, n)
	b.Config = configured.Config
	return problems
}
