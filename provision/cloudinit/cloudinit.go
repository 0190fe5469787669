// Package cloudinit writes what cloud-init and its like are told, from one [Instance]: the
// documents of the datasource NoCloud ([Instance.NoCloud]), the files that give an image
// its datasource ([Files]), and the tree of Amazon's metadata service ([Instance.EC2]). It
// is pure.
package cloudinit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"cloudlets/images"
	"cloudlets/provision"
)

// Instance is one system on one machine.
type Instance struct {
	// ID tells it from all others. cloud-init does its work once for each.
	ID       string
	Hostname string
	MAC      provision.MAC
	// Address is that of IPv4 or IPv6; invalid if it is not known.
	Address netip.Addr
	// SSHKeys are lines as in authorized_keys.
	SSHKeys              []string
	UserData, VendorData []byte
	// HasNetwork says that something else configures the system's network, which
	// cloud-init shall leave alone.
	HasNetwork bool
}

// MetadataAddr is where clouds have the metadata service, and where the datasource Ec2
// asks unless it is told another place. Its port is 80.
var MetadataAddr = netip.AddrFrom4([4]byte{169, 254, 169, 254})

// The documents of NoCloud.
const (
	MetaData      = "meta-data"
	UserData      = "user-data"
	VendorData    = "vendor-data"
	NetworkConfig = "network-config"
)

// NoCloud returns the documents of NoCloud by their names. The network is left to
// cloud-init, which uses DHCP then, or it is told to do nothing: one and the same network
// is never configured by two.
func (i Instance) NoCloud() map[string][]byte {
	documents := map[string][]byte{
		MetaData: jsonText(struct {
			ID         string   `json:"instance-id"`
			Hostname   string   `json:"local-hostname"`
			PublicKeys []string `json:"public-keys,omitempty"`
		}{i.ID, i.Hostname, i.SSHKeys}),
		UserData:   i.UserData,
		VendorData: i.VendorData,
	}
	if i.HasNetwork {
		documents[NetworkConfig] = []byte("{\"config\": \"disabled\"}\n")
	}
	return documents
}

// jsonText is a value as JSON, which YAML reads too.
func jsonText(value any) []byte {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		panic(err) // these types can be marshalled
	}
	return append(text, '\n')
}

// Source is where the cloud-init of an image finds what it is told.
type Source struct {
	Datasource provision.Datasource
	// URL is where NoCloud asks, with a slash at its end. URLs are where EC2 asks.
	URL  string   `json:",omitempty"`
	URLs []string `json:",omitempty"`
}

// The places of the files.
const (
	configFile = "/etc/cloud/cloud.cfg.d/99-cloudlets.cfg"
	seedFolder = "/var/lib/cloud/seed/nocloud/"
)

// ErrMissing says why an image gets no files.
var ErrMissing = errors.New(`the image has no cloud-init, so what the machine's file has as "cloudInit" has no effect: add the package cloud-init to the image`)

// Files returns the files that give an image its datasource, or [ErrMissing]. Only root
// may read those that have secrets.
func Files(tree images.Tree, i Instance, from Source) ([]images.File, error) {
	_, err := images.Resolve(tree, "/etc/cloud/cloud.cfg")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, images.ErrTooManyLinks) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("look for cloud-init in the image: %w", err)
	}
	files := []images.File{file(configFile, 0o600, i.config(from))}
	if from.Datasource == provision.DatasourceSeed {
		documents := i.NoCloud()
		for _, name := range []string{MetaData, UserData, VendorData} {
			files = append(files, file(seedFolder+name, 0o600, documents[name]))
		}
	}
	return files, nil
}

// config is the file for /etc/cloud. Debian's ds-identify reads the list of datasources
// with a shell, and only from one line. A list of one datasource and None is not probed.
func (i Instance) config(from Source) []byte {
	text := "# Written when this system was installed, from \"cloudInit\" in the machine's file.\n"
	switch from.Datasource {
	case provision.DatasourceSeed:
		text += "datasource_list: [NoCloud, None]\n"
	case provision.DatasourceHTTP:
		text += "datasource_list: [NoCloud, None]\ndatasource: {NoCloud: {seedfrom: " + quoted(from.URL) + "}}\n"
	case provision.DatasourceEC2:
		text += "datasource_list: [Ec2, None]\ndatasource: {Ec2: {strict_id: false, metadata_urls: " + quoted(from.URLs) + "}}\n"
	}
	if i.HasNetwork {
		text += "network: {config: disabled}\n"
	}
	return []byte(text)
}

func quoted(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // texts can be marshalled
	}
	return string(text)
}

func file(path string, mode uint32, content []byte) images.File {
	return images.File{Entry: images.Entry{Path: path, Type: images.Regular, Mode: mode, Size: int64(len(content))}, Content: content}
}
