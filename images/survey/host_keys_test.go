package survey

import (
	"slices"
	"strings"
	"testing"
)

// withSSH is a Debian with OpenSSH and some more files.
func withSSH(more made) made {
	tree := made{"etc/os-release": debianRelease, "etc/ssh/ssh_host_rsa_key": "secret", "usr/sbin/sshd": "#!", "usr/bin/ssh-keygen": "#!"}
	for name, content := range more {
		tree[name] = content
	}
	return tree
}

var (
	systemdInit = made{"sbin/init": "-> /lib/systemd/systemd", "lib/systemd/systemd": program(elfAMD64)}
	sysvScript  = "test -f /etc/default/ssh && . /etc/default/ssh\n"
)

// TestWhatMakesHostKeys checks what copies get that make their own keys, if the image has
// nothing that does, and that it is found when the image is examined again.
func TestWhatMakesHostKeys(t *testing.T) {
	with := func(all ...made) made {
		tree := made{}
		for _, one := range all {
			for name, content := range one {
				tree[name] = content
			}
		}
		return withSSH(tree)
	}
	for name, c := range map[string]struct {
		tree made
		want map[string]string // of each file that is added: a part of it
		why  string
	}{
		"systemd": {with(systemdInit, made{"lib/systemd/system/ssh.service": "[Service]\n"}), map[string]string{
			"/etc/systemd/system/ssh-host-keys.service":        "ExecStart=/usr/bin/ssh-keygen -A",
			"/etc/systemd/system/ssh.service.d/host-keys.conf": "Wants=ssh-host-keys.service\nAfter=ssh-host-keys.service",
		}, "ssh-host-keys.service, as it is added"},
		"a unit of another name": {with(systemdInit, made{"usr/lib/systemd/system/sshd.service": "[Service]\n"}), map[string]string{
			"/etc/systemd/system/ssh-host-keys.service": "RemainAfterExit", "/etc/systemd/system/sshd.service.d/host-keys.conf": "Wants=",
		}, "as it is added"},
		"a unit for each connection": {with(systemdInit, made{"lib/systemd/system/ssh.service": "", "lib/systemd/system/ssh@.service": "", "etc/systemd/system/sshd.service": "-> /lib/systemd/system/ssh.service"}), map[string]string{
			"/etc/systemd/system/ssh-host-keys.service": "RemainAfterExit", "/etc/systemd/system/ssh.service.d/host-keys.conf": "Wants=", "/etc/systemd/system/ssh@.service.d/host-keys.conf": "Wants=",
		}, "as it is added"},
		"a service for the first boot alone": {with(systemdInit, made{"lib/systemd/system/ssh.service": "", "lib/systemd/system/sshd-keygen.service": "[Unit]\nConditionFirstBoot=yes\n[Service]\nExecStart=ssh-keygen -A\n"}), map[string]string{
			"/etc/systemd/system/ssh-host-keys.service": "RemainAfterExit", "/etc/systemd/system/ssh.service.d/host-keys.conf": "Wants=",
		}, "as it is added"},
		"what only speaks of a service": {with(systemdInit, made{"lib/systemd/system/ssh.service": "", "etc/systemd/system/sshd-keygen@.service.d/off.conf": "# sshd-keygen makes host keys\n[Unit]\nConditionPathExists=!/run/sshd-keygen\n"}), map[string]string{
			"/etc/systemd/system/ssh-host-keys.service": "RemainAfterExit", "/etc/systemd/system/ssh.service.d/host-keys.conf": "Wants=",
		}, "as it is added"},
		"SUSE":                     {with(systemdInit, made{"usr/lib/systemd/system/sshd.service": "ExecStartPre=/usr/sbin/sshd-gen-keys-start\n"}), nil, "sshd.service makes new ones"},
		"Void":                     {with(made{"sbin/init": "-> runit-init", "sbin/runit-init": program(elfAMD64), "etc/sv/sshd/run": "#!/bin/sh\nssh-keygen -A >/dev/null 2>&1\n"}), nil, "/etc/sv/sshd/run makes new ones"},
		"a service of the image's": {with(systemdInit, made{"lib/systemd/system/ssh.service": "", "lib/systemd/system/sshd-keygen@.service": "ExecStart=/usr/libexec/openssh/sshd-keygen %i\n"}), nil, "sshd-keygen@.service makes new ones"},
		"sysvinit": {with(made{"sbin/init": program(elfAMD64), "etc/inittab": "", "etc/init.d/ssh": sysvScript, "etc/default/ssh": "SSHD_OPTS="}), map[string]string{
			"/etc/default/ssh": "SSHD_OPTS=\n\n# Copies of the image have no host keys, so each makes its own.\n[ -e /etc/ssh/ssh_host_ed25519_key ] || /usr/bin/ssh-keygen -A || :\n",
		}, "/etc/default/ssh, as it is added"},
		"runit":                       {with(made{"sbin/init": "-> runit-init", "sbin/runit-init": program(elfAMD64), "etc/init.d/ssh": sysvScript}), map[string]string{"/etc/default/ssh": "ssh-keygen -A"}, "as it is added"},
		"a script that reads nothing": {with(made{"sbin/init": program(elfAMD64), "etc/inittab": "", "etc/init.d/ssh": "exec sshd"}), nil, "nothing in the image makes new ones"},
		"systemd without a unit":      {with(systemdInit), nil, "nothing in the image makes new ones"},
		"an unknown init":             {with(made{"sbin/init": program(elfAMD64)}), nil, "nothing in the image makes new ones"},
		"what configures itself":      {with(systemdInit, made{"gnu/store/": "", "lib/systemd/system/ssh.service": ""}), nil, "nothing in the image makes new ones"},
		"an image without ssh-keygen": {with(systemdInit, made{"lib/systemd/system/ssh.service": "", "usr/bin/ssh-keygen": "no program"}), nil, "nothing in the image makes new ones"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Survey(t.Context(), c.tree.tree(t), Options{Templates: true, Owners: true})
			if err != nil {
				t.Fatal(err)
			}
			if why := f.why("volatile /etc/ssh/ssh_host_.+"); !strings.Contains(why, c.why) {
				t.Errorf("why %q, want %q", why, c.why)
			}
			after := withSSH(c.tree)
			added := 0
			for _, one := range f.Templates {
				part, wanted := c.want[one.Path]
				if strings.Contains(one.Path, "authorized_keys") || one.Path == "/etc/hostname" || one.Path == "/etc/hosts" || strings.HasPrefix(one.Path, "/etc/conf.d") {
					continue
				}
				added++
				if !wanted || !strings.Contains(string(one.File.Content), part) {
					t.Errorf("%s is added: %q; want %q in it", one.Path, one.File.Content, part)
				}
				if slices.Contains(f.Render, one.Path) {
					t.Errorf("the manifest lists %s, which is no template", one.Path)
				}
				after[one.Path[1:]] = string(one.File.Content)
			}
			if added != len(c.want) {
				t.Errorf("%d files are added, want %d", added, len(c.want))
			}
			if added == 0 {
				return
			}
			again, err := Survey(t.Context(), after.tree(t), Options{Templates: true, Owners: true})
			if err != nil {
				t.Fatal(err)
			}
			if why := again.why("volatile /etc/ssh/ssh_host_.+"); !strings.Contains(why, "makes new ones") || len(again.Templates) != len(f.Templates)-added {
				t.Errorf("again: why %q", why)
			}
			if plain, _ := survey(t, c.tree.tree(t)); !strings.Contains(plain.why("volatile /etc/ssh/ssh_host_.+"), "--templates adds") {
				t.Errorf("without templates: why %q", plain.why("volatile /etc/ssh/ssh_host_.+"))
			}
		})
	}
}

// TestIdentities checks that what others know one machine by does not travel, or is told.
func TestIdentities(t *testing.T) {
	secrets := []string{
		"/etc/nvme/hostnqn", "/etc/nvme/hostid", "/etc/krb5.keytab", "/var/lib/samba/private/secrets.tdb", "/etc/pki/consumer/key.pem", "/etc/pki/entitlement/1-key.pem",
		"/etc/salt/pki/minion/minion.pem", "/etc/puppetlabs/puppet/ssl/private_keys/a.pem", "/var/lib/puppet/ssl/private_keys/a.pem", "/etc/chef/client.pem",
		"/var/lib/tailscale/tailscaled.state", "/var/lib/zerotier-one/identity.secret", "/etc/rancher/node/password", "/var/lib/kubelet/pki/kubelet.key",
	}
	stays := []string{"/etc/nvme/config.json", "/etc/krb5.conf", "/etc/pki/tls/cert.pem", "/etc/salt/minion", "/etc/puppetlabs/puppet/puppet.conf", "/etc/chef/client.rb", "/var/lib/kubelet/config.yaml", "/etc/salt/pki/minion/master_sign.pub", "/etc/puppetlabs/puppet/ssl/certs/ca.pem"}
	tree := made{"etc/os-release": debianRelease, "var/lib/dpkg/status": "", "etc/iscsi/initiatorname.iscsi": "InitiatorName=iqn.1993-08.org.debian:01:abc\n", "etc/ssl/private/ssl-cert-snakeoil.key": "secret"}
	for _, name := range slices.Concat(secrets, stays) {
		tree[name[1:]] = "x"
	}
	f, m := survey(t, tree.tree(t))
	for _, name := range secrets {
		if !m.IsVolatile(name) {
			t.Errorf("%s travels", name)
		}
	}
	for _, name := range stays {
		if m.IsVolatile(name) {
			t.Errorf("%s does not travel", name)
		}
	}
	for file, word := range map[string]string{"/etc/iscsi/initiatorname.iscsi": "GenerateName=yes", "/etc/ssl/private/ssl-cert-snakeoil.key": "make-ssl-cert"} {
		if why := f.why(file); !strings.Contains(why, word) {
			t.Errorf("%s: %q", file, why)
		}
	}
	if g, _ := survey(t, made{"etc/iscsi/initiatorname.iscsi": "# comment\nGenerateName=yes\n"}.tree(t)); g.why("/etc/iscsi/initiatorname.iscsi") != "" {
		t.Error("a name that each copy makes is reported")
	}
}
