package survey

import (
	"slices"
	"strings"
	"testing"

	"cloudlets/images"
)

const (
	debianRelease = "ID=debian\nVERSION_ID=12\n"
	ubuntuUser    = "root:x:0:0:root:/root:/bin/sh\nubuntu:x:1000:1001::/home/ubuntu:/bin/sh\n"
)

// TestUsualTemplates checks what becomes of files that are not as a distribution
// ships them.
func TestUsualTemplates(t *testing.T) {
	for name, c := range map[string]struct {
		tree   made
		owners bool
		path   string // of a template
		want   string // its text; "" is for no template
		why    string // is in a reason about the path
	}{
		"a template stays":         {made{"etc/hostname": "<%= args.name %>\n"}, true, "/etc/hostname", "<%= args.name %>\n", "already"},
		"comments stay":            {made{"etc/hostname": "# ours\n\nold\n"}, true, "/etc/hostname", "# ours\n\n<%= env.hostname || \"old\" %>\n", "its own name"},
		"no end of line":           {made{"etc/hostname": "old"}, true, "/etc/hostname", `<%= env.hostname || "old" %>`, "its own name"},
		"what is no name":          {made{"etc/hostname": "a\" %> b\n"}, true, "/etc/hostname", "<%= env.hostname || \"\" %>\n", "its own name"},
		"a link":                   {made{"etc/hostname": "-> name", "etc/name": "old\n"}, true, "/etc/hostname", "<%= env.hostname || \"old\" %>\n", "its own name"},
		"a link to nothing":        {made{"etc/hosts": "-> ../run/hosts"}, true, "/etc/hosts", "", "leads nowhere"},
		"a directory":              {made{"etc/hosts/": ""}, true, "/etc/hosts", "", "no text file"},
		"a large file":             {made{"etc/hosts": strings.Repeat("#\n", maxText)}, true, "/etc/hosts", "", "no text file"},
		"names with a comment":     {made{"etc/hosts": "127.0.1.1 old # mine\n"}, true, "/etc/hosts", "127.0.1.1 <%= env.hostname ? " + withAlias + " : \"old\" %> # mine\n", "own name"},
		"quotes of OpenRC":         {made{"sbin/init": "-> openrc-init", "sbin/openrc-init": program(elfAMD64), "etc/conf.d/hostname": "# x\nhostname='old' # y\n"}, true, "/etc/conf.d/hostname", "# x\nhostname='<%= env.hostname || \"old\" %>' # y\n", "its own name"},
		"OpenRC without a file":    {made{"sbin/init": "-> openrc-init", "sbin/openrc-init": program(elfAMD64)}, true, "/etc/conf.d/hostname", "hostname=\"<%= env.hostname || \"\" %>\"\n", "its own name"},
		"the user of clouds":       {made{"usr/sbin/sshd": "#!", "etc/passwd": ubuntuUser, "home/ubuntu/": "", "etc/os-release": "ID=ubuntu\n"}, true, "/home/ubuntu/.ssh/authorized_keys", keysFile(""), "ubuntu may log in"},
		"the user without rights":  {made{"usr/sbin/sshd": "#!", "etc/passwd": ubuntuUser, "home/ubuntu/": "", "etc/os-release": "ID=ubuntu\n"}, false, "/root/.ssh/authorized_keys", keysFile(""), "root may log in"},
		"the user without a home":  {made{"usr/sbin/sshd": "#!", "etc/passwd": ubuntuUser, "etc/os-release": "ID=ubuntu\n"}, true, "/root/.ssh/authorized_keys", keysFile(""), "root may log in"},
		"a root with another home": {made{"usr/sbin/sshd": "#!", "etc/passwd": "root:x:0:0::/var/./root/:/bin/sh\n"}, true, "/var/root/.ssh/authorized_keys", keysFile(""), "root may log in"},
		"keys without end of line": {made{"usr/sbin/sshd": "#!", "root/.ssh/authorized_keys": "ssh-rsa A"}, true, "/root/.ssh/authorized_keys", keysFile("ssh-rsa A\n"), "root may log in"},
		"a declared system":        {made{"gnu/store/": "", "etc/hostname": "old\n"}, true, "/etc/hostname", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.tree["etc/os-release"] == "" {
				c.tree["etc/os-release"] = debianRelease
			}
			tree := c.tree.tree(t)
			f, err := Survey(t.Context(), tree, Options{Templates: true, Owners: c.owners})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Manifest(); err != nil {
				t.Fatal(err)
			}
			text := ""
			if at := slices.IndexFunc(f.Templates, func(one Template) bool { return one.Path == c.path }); at >= 0 {
				text = string(f.Templates[at].File.Content)
			}
			if text != c.want || (text != "") != slices.Contains(f.Render, c.path) {
				t.Errorf("template %q, want %q; the manifest lists %q", text, c.want, f.Render)
			}
			if why := f.why("templates " + c.path); !strings.Contains(why, c.why) {
				t.Errorf("why %q, want %q", why, c.why)
			}
		})
	}
}

// TestKeysBelongToTheirUser checks that sshd, which reads them as the user, can.
func TestKeysBelongToTheirUser(t *testing.T) {
	tree := made{"usr/sbin/sshd": "#!", "etc/passwd": ubuntuUser, "home/ubuntu/": "", "etc/os-release": "ID=ubuntu\n"}.tree(t)
	f, err := Survey(t.Context(), tree, Options{Templates: true, Owners: true})
	if err != nil {
		t.Fatal(err)
	}
	keys := f.Templates[len(f.Templates)-1]
	if len(keys.Dirs) != 1 {
		t.Fatalf("new directories %+v", keys.Dirs)
	}
	if d := keys.Dirs[0]; d.Path != "/home/ubuntu/.ssh" || d.Mode != 0o700 || d.UID != 1000 || d.GID != 1001 {
		t.Errorf("directory %+v", d)
	}
	if e := keys.File.Entry; e.Mode != 0o600 || e.UID != 1000 || e.GID != 1001 {
		t.Errorf("file %+v", e)
	}
}

// labelled is a tree whose root's home has a label of SELinux.
type labelled struct{ images.Tree }

func (l labelled) Entry(p string) (images.Entry, error) {
	e, err := l.Tree.Entry(p)
	if p == "/root" {
		e.Xattrs = map[string]string{selinux: "system_u:object_r:admin_home_t:s0\x00"}
	}
	return e, err
}

// TestKeysHaveALabel checks that an sshd that SELinux confines can read new keys.
func TestKeysHaveALabel(t *testing.T) {
	tree := made{"usr/sbin/sshd": "#!", "root/": "", "etc/os-release": "ID=fedora\n"}.tree(t)
	f, err := Survey(t.Context(), labelled{tree}, Options{Templates: true, Owners: true})
	if err != nil {
		t.Fatal(err)
	}
	keys := f.Templates[len(f.Templates)-1]
	for _, e := range append(keys.Dirs, keys.File.Entry) {
		if got, want := e.Xattrs[selinux], "system_u:object_r:ssh_home_t:s0\x00"; got != want {
			t.Errorf("%s has the label %q, want %q", e.Path, got, want)
		}
	}
}
