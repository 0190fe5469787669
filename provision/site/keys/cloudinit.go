package keys

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// setCloudInit reads what cloud-init is told. A profile may have a part of it, so
// [checkCloudInit] looks at the whole.
func setCloudInit(s *provision.Spec, n *jsontext.Node) jsontext.Problems {
	s.CloudInit = &provision.CloudInit{}
	return decodeObject(s.CloudInit, n, cloudInitFields())
}

var cloudInitFields = sync.OnceValue(func() fields[provision.CloudInit] {
	return fields[provision.CloudInit]{
		"userData":       cloudConfig(func(c *provision.CloudInit) *string { return &c.UserData }).says("The user data: a text, or an object, which becomes #cloud-config.", `""`, `{"packages": ["nginx"]}`),
		"vendorData":     cloudConfig(func(c *provision.CloudInit) *string { return &c.VendorData }).says("The vendor data, in the same way.", `""`, `{"timezone": "Europe/Vienna"}`),
		"userDataFile":   textField(func(c *provision.CloudInit, v string) error { c.UserDataFile = v; return checkSiteFile(v) }).says("A file of the site with the user data, instead.", `""`, `"cloud-init/web.yaml"`),
		"vendorDataFile": textField(func(c *provision.CloudInit, v string) error { c.VendorDataFile = v; return checkSiteFile(v) }).says("A file of the site with the vendor data, instead.", `""`, `"cloud-init/vendor.yaml"`),
		"sshKeys":        listField(func(c *provision.CloudInit, line string) error { return addSSHKey(&c.SSHKeys, line) }).says("Public keys of the image's default user.", `[]`, `["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ann@desk"]`),
		"datasource": choiceField(func(c *provision.CloudInit, name string) { c.Datasource = provision.Datasource(name) },
			string(provision.DatasourceSeed), string(provision.DatasourceHTTP), string(provision.DatasourceEC2), string(provision.DatasourceImage), "").
			says("Where cloud-init on the installed system finds all this.", `""`, `"ec2"`),
	}
})

// checkCloudInit refuses keys that do not go together.
func checkCloudInit(c *provision.CloudInit) error {
	switch {
	case c == nil:
	case c.UserData != "" && c.UserDataFile != "":
		return errors.New(`it has both "userData" and "userDataFile": leave one; "" takes away what a profile has`)
	case c.VendorData != "" && c.VendorDataFile != "":
		return errors.New(`it has both "vendorData" and "vendorDataFile": leave one; "" takes away what a profile has`)
	}
	return nil
}

// cloudConfig reads a text for cloud-init, or an object that becomes "#cloud-config".
func cloudConfig(to func(*provision.CloudInit) *string) field[provision.CloudInit] {
	return valueField("text, or object", func(c *provision.CloudInit, n *jsontext.Node) jsontext.Problems {
		if text, ok := n.Text(); ok {
			*to(c) = text
			return nil
		}
		if !n.IsObject() {
			return Wants(n, `a text that cloud-init reads, such as "#!/bin/sh\n…", or an object, which becomes #cloud-config`)
		}
		text, err := yamlOf(n.Plain())
		*to(c) = "#cloud-config\n" + text
		return refused(n, err)
	})
}

// yamlOf writes a value as JSON that YAML 1.1 reads as the same value. YAML is almost a
// superset of JSON, except for some control characters, and for numbers such as 1e3,
// which it takes for texts.
func yamlOf(plain any) (string, error) {
	text, err := json.MarshalIndent(withoutExponents(plain), "", "  ")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, r := range string(text) {
		if 0x7f <= r && r < 0xa0 || r == 0xfeff || r == 0xfffe || r == 0xffff {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String() + "\n", nil
}

func withoutExponents(plain any) any {
	switch v := plain.(type) {
	case map[string]any:
		for name := range v {
			v[name] = withoutExponents(v[name])
		}
	case []any:
		for i := range v {
			v[i] = withoutExponents(v[i])
		}
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(v.String(), "eE") {
			return json.Number(strconv.FormatFloat(f, 'f', -1, 64))
		}
	}
	return plain
}

// maxSSHKeys bounds a list of keys.
const maxSSHKeys = 64

// addSSHKey adds a public key to a list.
func addSSHKey(to *[]string, line string) error {
	if len(*to) == maxSSHKeys {
		return fmt.Errorf("there can be at most %d keys", maxSSHKeys)
	}
	*to = append(*to, line)
	if strings.Contains(line, "PRIVATE KEY") {
		return errors.New("that is a private key; want the public one, as the file that ends in .pub has it")
	}
	words := strings.Fields(line)
	for i := 1; i < len(words); i++ { // options may come first
		if key, err := base64.StdEncoding.DecodeString(words[i]); err == nil && strings.Contains(string(key), words[i-1]) {
			return checkPlain(line)
		}
	}
	return errors.New(`that is not a public key; want a line of authorized_keys, such as "ssh-ed25519 AAAA… ann@desk"`)
}

// checkSiteFile refuses a path that is not one in the site.
func checkSiteFile(file string) error {
	if path.IsAbs(file) {
		return fmt.Errorf("%q is not in the site: want a path there, such as \"cloud-init/web.yaml\"", file)
	}
	return checkInSite(file)
}
