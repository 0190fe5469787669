package survey

import (
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"cloudlets/images"
	"cloudlets/images/lazyregexp"
)

// rule is a pattern of files that do not belong in an image.
type rule struct {
	pattern string
	// where is a pattern of paths (see [images.Glob]). The rule applies to
	// images that have such a path.
	where string
	why   string
}

// rules are in the order of the manifest. They match the contents of
// directories but not the directories themselves, because programs expect these
// to exist.
var rules = []rule{
	{"/tmp/.+", "/tmp", "temporary files"},
	{"/var/tmp/.+", "/var/tmp", "temporary files"},
	{"/run/.+", "/run", "state of running programs, recreated at each start"},
	{"/proc/.+", "/proc/*", "kernel data, copied from a running system"},
	{"/sys/.+", "/sys/*", "kernel data, copied from a running system"},
	{"/lost\\+found$", "/lost+found", "belongs to a filesystem, not to its contents"},
	{"/swapfile$|/swap\\.img$", "/swap*", "memory of one machine"},

	{"/var/cache/apt/(?!archives$|archives/partial$).+", "/var/cache/apt", "packages and lists that apt downloads again"},
	{"/var/lib/apt/lists/(?!partial$|auxfiles$).+", "/var/lib/apt/lists", "lists that \"apt-get update\" downloads again"},
	{"/var/lib/dpkg/[^/]+-old$", "/var/lib/dpkg", "copies from before the last change"},
	{"/var/cache/debconf/[^/]+-old$", "/var/cache/debconf", "copies from before the last change"},
	{"/var/cache/(dnf|libdnf5)/.+", "/var/cache/*dnf*", "packages and lists that dnf downloads again"},
	{"/var/cache/yum/.+", "/var/cache/yum", "packages and lists that yum downloads again"},
	{"/var/lib/rpm/__db\\..+", "/var/lib/rpm", "locks and caches of the package database"},
	{"/var/cache/apk/.+", "/var/cache/apk", "packages and lists that apk downloads again"},
	{"/var/cache/pacman/pkg/.+", "/var/cache/pacman/pkg", "packages that pacman downloads again"},
	{"/var/lib/pacman/sync/.+", "/var/lib/pacman/sync", "lists that \"pacman -Sy\" downloads again"},
	{"/var/cache/zypp/.+", "/var/cache/zypp", "packages and lists that zypper downloads again"},
	{"/var/cache/xbps/.+", "/var/cache/xbps", "packages that xbps downloads again"},
	{"/var/cache/(distfiles|binpkgs)/.+", "/var/cache/distfiles", "sources that emerge downloads again"},
	{"/var/cache/man/.+", "/var/cache/man", "recreated from the manual pages"},
	{"/var/cache/fontconfig/.+", "/var/cache/fontconfig", "recreated from the fonts"},
	{"/var/cache/ldconfig/.+", "/var/cache/ldconfig", "recreated from the libraries"},

	{"/var/lib/systemd/(random-seed|credential\\.secret)$", "/var/lib/systemd", "secrets: two machines must never share them"},
	{"/var/lib/systemd/coredump/.+", "/var/lib/systemd/coredump", "memory of programs that crashed"},
	{"/var/lib/(dhcp|dhclient|dhcpcd)/.+", "/var/lib/dhc*", "leases of one machine's addresses"},
	{"/var/lib/NetworkManager/(secret_key|seen-bssids|timestamps|.+\\.lease)$", "/var/lib/NetworkManager", "secrets and leases of one machine"},
	{"/var/lib/cloud/.+", "/var/lib/cloud", "what cloud-init remembers about one machine: a copy must start afresh"},
	{"/var/lib/urandom/random-seed$", "/var/lib/urandom", "a secret: two machines must never share it"},
	{"/var/lib/seedrng/.+", "/var/lib/seedrng", "secrets: two machines must never share them"},
	{"/var/lib/misc/random-seed$", "/var/lib/misc/random-seed", "a secret: two machines must never share it"},
	{"/var/lib/random-seed$", "/var/lib/random-seed", "a secret: two machines must never share it"},
	{"/etc/dropbear/dropbear_.+_host_key$", "/etc/dropbear", "secrets: anyone with the image could impersonate every copy of it; \"dropbear -R\" makes new ones"},
	{"/etc/udev/rules\\.d/\\d+-persistent-(net|cd)\\.rules$", "/etc/udev/rules.d", "names for the hardware of one machine"},
	{"/etc/nvme/(hostnqn|hostid)$", "/etc/nvme", "the names by which storage knows one machine; without them they are made of its hardware's UUID"},
	{"/etc/krb5\\.keytab$", "/etc/krb5.keytab", "the key by which a realm knows one machine: join each copy, and make it persistent to keep it over an update"},
	{"/var/lib/samba/private/secrets\\.tdb$", "/var/lib/samba/private", "the password by which a domain knows one machine: join each copy, and make it persistent to keep it over an update"},
	{"/etc/pki/(consumer|entitlement)/.+", "/etc/pki/consumer", "the subscription of one machine: register each copy, and make /etc/pki/consumer persistent to keep it over an update"},
	{"/etc/salt/pki/minion/minion\\.(pem|pub)$", "/etc/salt/pki/minion", "the key by which Salt knows one machine; each copy's minion makes one, which a persistent /etc/salt/pki keeps over an update"},
	{"/etc/puppetlabs/puppet/ssl/((private_keys|public_keys|certificate_requests)/.+|certs/(?!ca\\.pem$).+)", "/etc/puppetlabs/puppet/ssl", "the certificate by which Puppet knows one machine; each copy's agent makes one, which a persistent /etc/puppetlabs/puppet/ssl keeps over an update"},
	{"/var/lib/puppet/ssl/((private_keys|public_keys|certificate_requests)/.+|certs/(?!ca\\.pem$).+)", "/var/lib/puppet/ssl", "the certificate by which Puppet knows one machine; each copy's agent makes one, which a persistent /var/lib/puppet/ssl keeps over an update"},
	{"/etc/chef/client\\.pem$", "/etc/chef", "the key by which Chef knows one machine; make it persistent to keep it over an update"},
	{"/var/lib/tailscale/.+", "/var/lib/tailscale", "the key by which a tailnet knows one machine: log each copy in, and make /var/lib/tailscale persistent to keep it over an update"},
	{"/var/lib/zerotier-one/(identity\\..+|authtoken\\.secret)$", "/var/lib/zerotier-one", "the identity of one machine; each copy makes one, which a persistent /var/lib/zerotier-one keeps over an update"},
	{"/etc/rancher/node/password$", "/etc/rancher/node", "the password by which a k3s cluster knows one machine; each copy makes one, which a persistent /etc/rancher keeps over an update: without it the cluster refuses the node"},
	{"/var/lib/kubelet/pki/.+", "/var/lib/kubelet", "the certificate by which a Kubernetes cluster knows one machine: join each copy anew; without it /etc/kubernetes/kubelet.conf leads nowhere"},
	{"/var/crash/.+", "/var/crash", "reports of programs that crashed"},
	{"/(root|home/[^/]+)/\\.[a-z]+_history$", "/root", "commands that a person typed"},
}

func (e *explorer) volatile() error {
	for _, r := range rules {
		found, err := images.Glob(e.tree, r.where)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			e.leaveOut(r.pattern, "%s", r.why)
		}
	}
	for _, look := range []func() error{e.formerRun, e.logs, e.hostKeys, e.machineID} {
		if err := look(); err != nil {
			return err
		}
	}
	return nil
}

func (e *explorer) leaveOut(pattern, why string, args ...any) {
	e.found.Volatile = append(e.found.Volatile, pattern)
	e.addReason("volatile "+pattern, why, args...)
}

// formerRun handles the directories that older systems use instead of /run.
func (e *explorer) formerRun() error {
	for _, dir := range []string{"/var/run", "/var/lock"} {
		if ok, err := e.isDir(dir); err != nil {
			return err
		} else if ok {
			e.leaveOut(dir+"/.+", "state of running programs, recreated at each start")
		}
	}
	return nil
}

// The limits for directories of logs that are kept by name.
const (
	maxLogDepth = 3
	maxLogDirs  = 64
)

// machineDir matches the id of a machine, which is also used as the name of a
// directory.
var machineDir = lazyregexp.New(`^[0-9a-f]{32}$`)

// logs makes logs volatile but keeps their directories, because many services
// do not start without them.
func (e *explorer) logs() error {
	if ok, err := e.isDir("/var/log"); err != nil || !ok {
		return err
	}
	kept, err := e.logDirs("/var/log", 1)
	if err != nil {
		return err
	}
	if e.found.Init.System != Systemd {
		kept = append(kept, "btmp", "lastlog", "wtmp") // nothing recreates these
	}
	if len(kept) > maxLogDirs {
		kept = kept[:maxLogDirs]
	}
	if len(kept) == 0 {
		e.leaveOut("/var/log/.+", "logs of one machine")
		return nil
	}
	for i, name := range kept {
		kept[i] = regexp.QuoteMeta(name)
	}
	e.leaveOut("/var/log/(?!("+strings.Join(kept, "|")+")$).+", "logs of one machine; their directories stay, because services need them")
	return nil
}

// logDirs lists the directories below /var/log, relative to it.
func (e *explorer) logDirs(dir string, depth int) (names []string, err error) {
	list, err := e.readDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range list {
		name := strings.TrimPrefix(entry.Path, "/var/log/")
		if entry.Type != images.Directory || machineDir().MatchString(path.Base(name)) || !plain(name) {
			continue
		}
		names = append(names, name)
		if depth < maxLogDepth {
			inner, err := e.logDirs(entry.Path, depth+1)
			if err != nil {
				return nil, err
			}
			names = append(names, inner...)
		}
	}
	return names, nil
}

// plain reports whether a name can be used in a pattern.
func plain(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// machineID makes the machine id volatile, because two machines must not share
// one. A copy that starts systemd gets an empty file, as machine-id(5) recommends.
func (e *explorer) machineID() error {
	for _, file := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		text, err := e.text(file)
		if err != nil {
			return err
		}
		entry, err := e.tree.Entry(file)
		id := strings.TrimSpace(text)
		switch {
		case err != nil || entry.Type != images.Regular:
			continue // absent, or a link to the other
		case id == "":
			e.addReason(file, "is empty, which is right: each copy makes its own id at its first start")
		case machineDir().MatchString(id) && file == "/etc/machine-id" && e.found.Init.System == Systemd:
			e.leaveOut(regexp.QuoteMeta(file)+"$", "the id of one machine; disks and installs have an empty file, so that systemd makes a new id")
		case machineDir().MatchString(id):
			e.leaveOut(regexp.QuoteMeta(file)+"$", "the id of one machine; copies make their own")
		}
	}
	return nil
}
