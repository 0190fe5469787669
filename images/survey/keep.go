package survey

import (
	"path"
	"slices"
	"strings"

	"cloudlets/images"
)

// dataOf are the directories in which services keep what they are for.
var dataOf = []string{
	"/var/lib/mysql", "/var/lib/postgresql", "/var/lib/pgsql", "/var/lib/mongodb", "/var/lib/redis", "/var/lib/ldap",
	"/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/libvirt", "/var/lib/kubelet", "/var/lib/etcd",
	"/var/lib/rabbitmq", "/var/lib/elasticsearch", "/var/lib/influxdb", "/var/lib/prometheus", "/var/lib/grafana",
	"/var/lib/bind", "/var/lib/samba", "/var/lib/nfs", "/var/lib/git", "/var/lib/gitea", "/var/lib/letsencrypt",
	"/etc/letsencrypt", "/var/www", "/var/mail", "/var/spool/mail", "/var/spool/cron",
}

// packageLists are where package managers note what is installed.
var packageLists = []struct{ dir, manager string }{
	{"/var/lib/dpkg", "dpkg"}, {"/var/lib/rpm", "rpm"}, {"/var/lib/pacman", "pacman"},
}

// persistent chooses what a machine keeps when it gets a new version of the
// image: data, and who it is.
func (e *explorer) persistent() error {
	for _, dir := range []string{"/home", "/srv"} {
		if ok, err := e.isDir(dir); err != nil {
			return err
		} else if ok {
			e.keep(dir, "what users and services put there is theirs")
		}
	}
	if err := e.keepState(); err != nil {
		return err
	}
	return e.keepIdentity()
}

func (e *explorer) keep(p, why string, args ...any) {
	e.found.Persistent = append(e.found.Persistent, p)
	e.because("persistent "+p, why, args...)
}

// keepState keeps all of /var/lib where nothing in it belongs to the image,
// and else what is known to be data.
func (e *explorer) keepState() error {
	for _, list := range packageLists {
		ok, err := e.isDir(list.dir)
		if err != nil {
			return err
		}
		if ok {
			e.because("/var/lib", "is not persistent as a whole: it holds the list of installed packages of %s, which has to fit the image; "+
				"add what your services keep there", list.manager)
			return e.keepData()
		}
	}
	if ok, err := e.isDir("/var/lib"); err != nil || !ok {
		return err
	}
	e.keep("/var/lib", "services keep their state there, and no package manager does")
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

// keepIdentity keeps what others know the machine by. What of it is in the
// image is volatile, so each copy has its own.
func (e *explorer) keepIdentity() error {
	if ok, err := e.exists("/etc/machine-id"); err != nil {
		return err
	} else if ok {
		e.keep("/etc/machine-id", "a machine that is updated stays the same machine, for its journal and for DHCP")
	}
	keys, err := images.Glob(e.tree, "/etc/ssh/ssh_host_*_key*")
	if err != nil {
		return err
	}
	for _, key := range keys {
		e.keep(key, "a machine that is updated keeps the key that others know it by")
	}
	return nil
}

// templates suggests files that differ from copy to copy.
func (e *explorer) templates() error {
	for _, suggestion := range []Reason{
		{"/etc/hostname", "with <%= env.hostname %> in it each copy gets its name"},
		{"/etc/hosts", "it names the machine itself"},
		{"/etc/network/interfaces", "it has the machine's addresses"},
		{"/etc/conf.d/hostname", "with <%= env.hostname %> in it each copy gets its name"},
	} {
		entry, ok, err := e.entry(suggestion.What)
		if err != nil {
			return err
		}
		if ok && entry.Type == images.Regular && entry.Path == suggestion.What {
			e.found.Templates = append(e.found.Templates, suggestion.What)
			e.because("templates "+suggestion.What, "suggested, not written: %s", suggestion.Why)
		}
	}
	return nil
}

// notices tells what no manifest can mend.
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
		e.because("/etc/fstab", "names the disks of one machine for %s: a copy on another disk waits for them in vain; take these lines out", strings.Join(devices, ", "))
	}
	return nil
}
