package survey

import (
	"path"
	"slices"
	"strings"

	"cloudlets/images"
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
	{"/var/lib/dpkg", "dpkg"}, {"/var/lib/rpm", "rpm"}, {"/var/lib/pacman", "pacman"},
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
		ok, err := e.isDir(list.dir)
		if err != nil {
			return err
		}
		if ok {
			e.addReason("/var/lib", "is not persistent as a whole: it contains the list of installed packages of %s, which must match the image; "+
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

// keepIdentity keeps the files by which others recognise the machine. The
// image's own copies of these files are volatile, so each machine makes its
// own.
func (e *explorer) keepIdentity() error {
	if ok, err := e.exists("/etc/machine-id"); err != nil {
		return err
	} else if ok {
		e.keep("/etc/machine-id", "an updated machine must stay the same machine for its journal and for DHCP")
	}
	keys, err := images.Glob(e.tree, "/etc/ssh/ssh_host_*_key*")
	if err != nil {
		return err
	}
	for _, key := range keys {
		e.keep(key, "an updated machine must keep the key by which others know it")
	}
	return nil
}

// templates suggests files that usually differ from copy to copy.
func (e *explorer) templates() error {
	for _, suggestion := range []Reason{
		{"/etc/hostname", "with <%= env.hostname %> in it, each copy gets its own name"},
		{"/etc/hosts", "it contains the name of the machine"},
		{"/etc/network/interfaces", "it contains the addresses of the machine"},
		{"/etc/conf.d/hostname", "with <%= env.hostname %> in it, each copy gets its own name"},
	} {
		entry, ok, err := e.entry(suggestion.What)
		if err != nil {
			return err
		}
		if ok && entry.Type == images.Regular && entry.Path == suggestion.What {
			e.found.Templates = append(e.found.Templates, suggestion.What)
			e.addReason("templates "+suggestion.What, "suggested, not written: %s", suggestion.Why)
		}
	}
	return nil
}

// notices reports problems that no manifest can solve.
func (e *explorer) notices() error {
	fstab, err := e.text("/etc/fstab")
	if err != nil {
		return err
	}
	var devices []string
	for line := range strings.Lines(fstab) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && (strings.HasPrefix(fields[0], "/dev/") || strings.HasPrefix(fields[0], "UUID=") || strings.HasPrefix(fields[0], "PARTUUID=")) {
			devices = append(devices, path.Clean(fields[1]))
		}
	}
	if slices.Sort(devices); len(devices) > 0 {
		e.addReason("/etc/fstab", "names the disks of one machine for %s: a copy on another disk would wait for them in vain; remove these lines", strings.Join(devices, ", "))
	}
	return nil
}
