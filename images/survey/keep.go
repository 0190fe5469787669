package survey

import (
	"strings"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/lazyregexp"
)

// dataOf are the directories in which services keep their data.
var dataOf = []string{
	"/var/lib/mysql", "/var/lib/postgresql", "/var/lib/pgsql", "/var/lib/mongodb", "/var/lib/redis", "/var/lib/ldap",
	"/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/libvirt", "/var/lib/kubelet", "/var/lib/etcd",
	"/var/lib/rabbitmq", "/var/lib/elasticsearch", "/var/lib/influxdb", "/var/lib/prometheus", "/var/lib/grafana",
	"/var/lib/bind", "/var/lib/samba", "/var/lib/nfs", "/var/lib/git", "/var/lib/gitea", "/var/lib/letsencrypt",
	"/etc/letsencrypt", "/var/www", "/var/mail", "/var/spool/mail", "/var/spool/cron",
}

// packageLists are the directories in which package managers record what is
// installed.
var packageLists = []struct{ dir, manager string }{
	{"/var/lib/dpkg", "dpkg"}, {"/var/lib/rpm", "rpm"}, {"/usr/lib/sysimage/rpm", "rpm"}, {"/var/lib/pacman", "pacman"}, {"/var/lib/portage", "portage"},
}

// persistent chooses what a machine keeps when it gets a new version of the
// image: its data and its identity.
func (e *explorer) persistent() error {
	for _, dir := range []string{"/home", "/srv"} {
		if ok, err := e.isDir(dir); err != nil {
			return err
		} else if ok {
			e.keep(dir, "it belongs to the users and services that put files there")
		}
	}
	if err := e.keepState(); err != nil {
		return err
	}
	return e.keepIdentity()
}

func (e *explorer) keep(p, why string, args ...any) {
	e.found.Persistent = append(e.found.Persistent, p)
	e.addReason("persistent "+p, why, args...)
}

// keepState keeps all of /var/lib if nothing in it belongs to the image.
// Otherwise it keeps only the directories that are known to hold data.
func (e *explorer) keepState() error {
	for _, list := range packageLists {
		ok, err := e.exists(list.dir)
		if err != nil {
			return err
		}
		if ok {
			e.addReason("/var/lib", "is not persistent as a whole: it contains what belongs to the packages of %s, which must match the image; "+
				"add the directories in which your services keep data", list.manager)
			return e.keepData()
		}
	}
	if ok, err := e.isDir("/var/lib"); err != nil || !ok {
		return err
	}
	e.keep("/var/lib", "services keep their state there, and no package manager uses it")
	return nil
}

func (e *explorer) keepData() error {
	for _, dir := range dataOf {
		if ok, err := e.isDir(dir); err != nil {
			return err
		} else if ok {
			e.keep(dir, "a service keeps its data there")
		}
	}
	return nil
}

// keepIdentity keeps the file by which others recognise the machine. Only a
// file that a copy has can be kept: copies that start systemd have an empty
// /etc/machine-id to begin with, and others have none where the image has an id.
func (e *explorer) keepIdentity() error {
	ok, err := e.exists("/etc/machine-id")
	if err != nil || !ok {
		return err
	}
	text, err := e.text("/etc/machine-id")
	if err != nil {
		return err
	}
	if e.found.Init.System == Systemd || !machineDir().MatchString(strings.TrimSpace(text)) {
		e.keep("/etc/machine-id", "an updated machine must stay the same machine for its journal and for DHCP")
	}
	return nil
}

// notices reports problems that no manifest can solve.
func (e *explorer) notices() error {
	fstab, err := e.text(boot.FstabPath)
	if err != nil {
		return err
	}
	if doubt := boot.FstabDoubt(fstab, boot.RootLabel); doubt != "" {
		e.addReason(boot.FstabPath, "%s", doubt)
	}
	for _, look := range []func() error{e.resolvers, e.cards, e.initiator, e.snakeOil} {
		if err := look(); err != nil {
			return err
		}
	}
	return nil
}

// resolvers reports name servers that the image has from the network where it was
// made. A link is made anew by what it leads to.
func (e *explorer) resolvers() error {
	const file = "/etc/resolv.conf"
	entry, err := e.tree.Entry(file)
	if err != nil || entry.Type != images.Regular {
		return nil
	}
	text, err := e.text(file)
	if strings.Contains("\n"+text, "\nnameserver") {
		e.addReason(file, "names the name servers of one network: empty it, or make it a template")
	}
	return err
}

// cardFiles are those in which systems configure network cards.
var cardFiles = []string{
	"/etc/systemd/network/*", "/etc/sysconfig/network-scripts/ifcfg-*", "/etc/sysconfig/network/ifcfg-*", "/etc/NetworkManager/system-connections/*",
	"/etc/netplan/*", "/etc/network/interfaces", "/etc/network/interfaces.d/*",
}

// oneCard matches what only one machine's network card has: an address, or a name
// by its slot.
var oneCard = lazyregexp.New(`(?i)\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b|interface-name=en[ops]`)

// cards reports files that are for the network cards of one machine.
func (e *explorer) cards() error {
	for _, pattern := range cardFiles {
		files, err := images.Glob(e.tree, pattern)
		if err != nil {
			return err
		}
		for _, file := range files {
			text, err := e.text(file)
			if err != nil {
				return err
			}
			if oneCard().MatchString(text) {
				e.addReason(file, "names a network card of one machine: another one would have no network; remove it, or match all cards")
			}
		}
	}
	return nil
}

// initiator reports the name by which iSCSI storage knows one machine. The start scripts of
// Debian and its kin make one where the file asks for it, and others where there is none.
func (e *explorer) initiator() error {
	const file = "/etc/iscsi/initiatorname.iscsi"
	text, err := e.text(file)
	if err != nil || !strings.Contains("\n"+text, "\nInitiatorName=") || strings.Contains(text, "<%") {
		return err
	}
	advice := "remove it, if a service such as iscsi-init.service makes it"
	if e.found.Distribution.Family == Debian {
		advice = "replace its text by \"GenerateName=yes\""
	}
	e.addReason(file, "is the name by which storage knows one machine, and two with the same name write to the same disks: %s, or make it a template", advice)
	return nil
}

// snakeOil reports the key of the certificate that Debian's package ssl-cert makes once,
// when it is installed. Services may not start without it, so it stays.
func (e *explorer) snakeOil() error {
	const file = "/etc/ssl/private/ssl-cert-snakeoil.key"
	if ok, err := e.exists(file); err != nil || !ok {
		return err
	}
	e.addReason(file, "is a secret that all copies would share: add a service that runs \"make-ssl-cert generate-default-snakeoil --force-overwrite\" once, at the first start, or give services another certificate")
	return nil
}
