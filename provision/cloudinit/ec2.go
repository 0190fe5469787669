package cloudinit

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// EC2Tree is what Amazon's metadata service has for one machine: texts by their paths
// without a version, "meta-data/instance-id".
type EC2Tree map[string]string

// EC2 returns the instance's tree. It has what is known here, in the form of the
// metadata service's documentation, and makes nothing up.
func (i Instance) EC2() EC2Tree {
	tree := EC2Tree{
		"meta-data/instance-id":    i.ID,
		"meta-data/hostname":       i.Hostname,
		"meta-data/local-hostname": i.Hostname,
		"meta-data/mac":            string(i.MAC),
	}
	card := "meta-data/network/interfaces/macs/" + string(i.MAC) + "/"
	tree[card+"mac"], tree[card+"device-number"], tree[card+"local-hostname"] = string(i.MAC), "0", i.Hostname
	switch {
	case i.Address.Is4():
		tree["meta-data/local-ipv4"], tree[card+"local-ipv4s"] = i.Address.String(), i.Address.String()
	case i.Address.Is6():
		tree["meta-data/ipv6"], tree[card+"ipv6s"] = i.Address.String(), i.Address.String()
	}
	for n, key := range i.SSHKeys {
		tree["meta-data/public-keys/"+strconv.Itoa(n)+"/openssh-key"] = key
	}
	if len(i.UserData) > 0 {
		tree["user-data"] = string(i.UserData)
	}
	identity := map[string]string{"instanceId": i.ID, "version": "2017-09-30"}
	if i.Address.Is4() {
		identity["privateIp"] = i.Address.String()
	}
	tree["dynamic/instance-identity/document"] = string(jsonText(identity))
	return tree
}

// Get returns the text at a path, or what a folder has, a name a line. Names of folders
// end with a slash. Keys are listed with their names, "0=key-0", as Amazon does.
func (t EC2Tree) Get(path string) (text string, found bool) {
	if text, found = t[path]; found {
		return text, true
	}
	folder := path + "/"
	if path == "" {
		folder = ""
	}
	var names []string
	for _, at := range slices.Sorted(maps.Keys(t)) {
		rest, below := strings.CutPrefix(at, folder)
		if !below {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		switch {
		case path == "meta-data/public-keys":
			name += "=key-" + name
		case deeper:
			name += "/"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, "\n"), len(names) > 0
}
