package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// Settings are what cloudlets.json says of the server itself. All of it is
// optional: where a value is zero, the server chooses.
type Settings struct {
	// Network is the one network of the short form. If there are Networks, it has
	// what holds for all of them, which they contain already.
	Network
	// Networks are the networks to serve, see [Settings.Served].
	Networks []Network
	// HTTP is where the boot side listens, "10.0.0.1:80" or ":8080".
	HTTP string
	// TFTP is where TFTP listens, ":69"; "off" for nowhere.
	TFTP string
	// TFTPSinglePort sends boot files from TFTP's own port, for networks
	// whose NAT or firewall lets no other through.
	TFTPSinglePort bool
	// TFTPBlockSize bounds TFTP's blocks in bytes, for networks with tunnels;
	// 0 leaves it to the MTU of the path.
	TFTPBlockSize int
	// RouterAdvertisementOff leaves the router solicitations of iPXEs without an
	// answer, for networks with guards against rogue advertisements.
	RouterAdvertisementOff bool
	// Assets is a folder with boot binaries; State is the folder of what the
	// server keeps. Paths that are relative in the file are relative to the
	// site, and are absolute here.
	Assets, State string
	// Store is where the server's state is kept.
	Store StoreSettings
	// Strangers is what happens to machines that no file describes.
	Strangers provision.Strangers
	// Rescue is what all rescue systems are given.
	Rescue provision.Rescue
	// HTTPS is whether and how machines are served by HTTPS, beside HTTP.
	HTTPS HTTPSSettings
	// SecureBootKey and SecureBootCert are files with the private key and the
	// certificate of the machines' owner, in PEM form; "" means that there are none.
	// Paths that are relative in the file are relative to the site.
	SecureBootKey, SecureBootCert string
	// Power says how machines are switched on.
	Power PowerSettings
}

// StoreSettings say where the server's state is kept. The zero value means a file
// in the state folder, for this server alone.
type StoreSettings struct {
	// Etcd are the URLs of the members of an etcd cluster that several servers
	// share.
	Etcd []string
	// Prefix begins the keys in etcd; "" is the default.
	Prefix string
	// TLS names files with certificates in PEM form. Paths that are relative in
	// the file are relative to the site, and are absolute here.
	TLS StoreTLS
	// User is the user of etcd, or ""; PasswordFile has that user's password.
	User, PasswordFile string
}

// StoreTLS are files for the connections to etcd.
type StoreTLS struct {
	CA        string // whom to trust; "" means the system's certificates
	Cert, Key string // of this server, if etcd asks for it
}

// Shared says whether several servers may share the store.
func (s StoreSettings) Shared() bool { return len(s.Etcd) > 0 }

// DHCPService is how the server takes part in giving out addresses. The zero
// value says nothing about it.
type DHCPService struct {
	// Off means no DHCP at all, Proxy to add boot information beside the
	// network's own DHCP server.
	Off, Proxy bool
	// Pool has the addresses to give out, where the server is the network's DHCP
	// server.
	Pool []AddrRange
}

// IsZero says whether it says nothing.
func (d DHCPService) IsZero() bool { return !d.Off && !d.Proxy && d.Pool == nil }

// ParseDHCPService reads "proxy", "off", or a range "10.0.0.100-10.0.0.200".
func ParseDHCPService(text string) (DHCPService, error) {
	switch text {
	case "off":
		return DHCPService{Off: true}, nil
	case "proxy":
		return DHCPService{Proxy: true}, nil
	}
	r, err := parseRange(text)
	if err == nil && r.First.Is6() {
		err = errors.New("a network of IPv6 wants an entry in \"networks\" of cloudlets.json, with its subnet")
	}
	if err != nil {
		return DHCPService{}, fmt.Errorf("read DHCP service %q: want \"proxy\", \"off\", or the addresses to give out: %w", text, err)
	}
	return DHCPService{Pool: []AddrRange{r}}, nil
}

func parseRange(text string) (AddrRange, error) {
	low, high, _ := strings.Cut(text, "-")
	first, err := parseAddr(strings.TrimSpace(low))
	last, err2 := parseAddr(strings.TrimSpace(high))
	if first.Is6() != last.Is6() {
		err2 = errors.New("it mixes IPv4 and IPv6")
	}
	if errors.Join(err, err2) != nil {
		return AddrRange{}, fmt.Errorf("%q is no range of addresses; want one such as \"10.0.0.100-10.0.0.200\"", text)
	}
	if last.Less(first) {
		return AddrRange{}, fmt.Errorf("the range %s ends before it begins; swap the two addresses", text)
	}
	return AddrRange{first, last}, nil
}

// String is the form that [ParseDHCPService] reads, or "" for the zero value.
func (d DHCPService) String() string {
	switch {
	case d.Off:
		return "off"
	case d.Proxy:
		return "proxy"
	}
	texts := make([]string, len(d.Pool))
	for i, r := range d.Pool {
		texts[i] = r.String()
	}
	return strings.Join(texts, ", ")
}

func settingsFields(site string) fields[Settings] {
	table := fields[Settings]{
		"description": description[Settings](),
		"networks": networksField().
			says("The networks to serve, if there are several, or if it is none of an interface.", "the one network of \"interface\" and \"dhcp\"", `[{"name": "lab", "interface": "eth1", "subnet": "10.0.0.0/24", "pool": "10.0.0.100-10.0.0.200"}]`),
		"interface": plainText(func(s *Settings) *string { return &s.Interface }).says("The interface of the one network.", "that of the flag --interface", `"eth1"`),
		"dhcp":      textField(setDHCP).says("How the one network gets its addresses: those to give out, \"proxy\" beside another DHCP server, or \"off\".", "that of the flag --dhcp", `"10.0.0.100-10.0.0.200"`),
		"http":      textField(func(s *Settings, v string) error { s.HTTP = v; return checkListen(v) }).says("Where the server listens for HTTP; without a host, at the addresses of the served interfaces.", "port 80", `":8080"`),
		"tftp":      textField(setTFTP).says("Where the server listens for TFTP, or \"off\".", "port 69", `"off"`),
		"assets":    folderField(site, func(s *Settings) *string { return &s.Assets }).says("A folder with boot loaders, which is searched before those of Debian's packages.", `""`, `"assets"`),
		"state":     folderField(site, func(s *Settings) *string { return &s.State }).says("The folder of what the server keeps.", "/var/lib/cloudlets", `"/srv/state"`),
		"router":    textField(setRouter).says("The router that machines of the one network are told.", "none", `"10.0.0.254"`),
		"metadata":  boolField(func(s *Settings, v bool) { s.Metadata = v }).says("Whether the server answers cloud-init's questions of the one network's machines at 169.254.169.254, too.", `false`, `true`),

		"store": storeField(site).says("The etcd cluster that several servers share; without it the state is a file.", "none", `{"etcd": ["https://10.0.0.1:2379"]}`),
		"https": httpsField(site).says("Whether, and how, machines are served by HTTPS too.", `false`, `true`),
		"power": powerSettingsField().says("How machines are switched on.", `{}`, `{"stagger": "2s"}`),

		"strangers": valueField("object", strangersField).with(strangersFields().keys(provision.Strangers{})).
			says("What happens to machines that no file describes.", "they are let go", `{"image": "debian-12"}`),
		"rescue": objectField(func(s *Settings) *provision.Rescue { return &s.Rescue }, rescueFields()).
			says("Who may log in to rescue systems by SSH.", "nobody", `{"sshKeys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ann@desk"]}`),

		"secureBootKey":  folderField(site, func(s *Settings) *string { return &s.SecureBootKey }).says("The file with the private key by which programs for Secure Boot are signed.", `""`, `"keys/db.key"`),
		"secureBootCert": folderField(site, func(s *Settings) *string { return &s.SecureBootCert }).says("The file with its certificate.", `""`, `"keys/db.pem"`),

		"tftpSinglePort": boolField(func(s *Settings, v bool) { s.TFTPSinglePort = v }).says("Whether TFTP sends from its own port, for firewalls that let no other through.", `false`, `true`),
		"tftpBlockSize":  numberField("a number of bytes", setTFTPBlockSize).says("The largest block of TFTP, for networks with tunnels.", "as the path allows", `1400`),

		"routerAdvertisement": textField(setRouterAdvertisement).says("Whether iPXEs that ask for an IPv6 router are told at once that there is none: \"on\" or \"off\".", `"on"`, `"off"`),
	}
	_, shared := networkFields()
	for key, f := range shared {
		table[key] = field[Settings]{func(s *Settings, n *jsontext.Node) jsontext.Problems { return f.read(&s.Network, n) }, f.about}
	}
	return table
}

// DecodeSettings makes Settings of cloudlets.json. site is the folder that paths in it are
// relative to. After a problem, the Settings are not to be used.
func DecodeSettings(site string, root *jsontext.Node) (Settings, jsontext.Problems) {
	var s Settings
	problems := decodeObject(&s, root, settingsFields(site))
	if (s.SecureBootKey == "") != (s.SecureBootCert == "") {
		problems = append(problems, root.Problem(`it has only one of "secureBootKey" and "secureBootCert"; want both, or neither`))
	}
	if len(problems) == 0 && len(s.Networks) == 0 {
		problems = refused(root, s.checkMetadata())
	}
	if len(problems) == 0 {
		problems = s.completeNetworks(root)
	}
	return s, problems
}

// storeField reads where the server's state is kept.
func storeField(site string) field[Settings] {
	tls := fields[StoreTLS]{
		"ca":   folderField(site, func(t *StoreTLS) *string { return &t.CA }).says("The file with the certificates of whom to trust.", "the system's certificates", `"tls/etcd-ca.pem"`),
		"cert": folderField(site, func(t *StoreTLS) *string { return &t.Cert }).says("The file with this server's certificate.", `""`, `"tls/etcd.pem"`),
		"key":  folderField(site, func(t *StoreTLS) *string { return &t.Key }).says("The file with its private key.", `""`, `"tls/etcd.key"`),
	}
	table := fields[StoreSettings]{
		"etcd":         listField(addEndpoint).says("The URLs of the members of the cluster.", "", `["https://10.0.0.1:2379"]`),
		"prefix":       textField(setPrefix).says("What the keys in etcd begin with.", "/cloudlets", `"/lab/cloudlets"`),
		"tls":          objectField(func(s *StoreSettings) *StoreTLS { return &s.TLS }, tls).says("Certificates for the connections, files in PEM form.", `{}`, `{"ca": "tls/etcd-ca.pem"}`),
		"user":         plainText(func(s *StoreSettings) *string { return &s.User }).says("The user of etcd.", `""`, `"cloudlets"`),
		"passwordFile": folderField(site, func(s *StoreSettings) *string { return &s.PasswordFile }).says("The file with that user's password.", `""`, `"secrets/etcd"`),
	}
	return valueField("object", func(dst *Settings, n *jsontext.Node) jsontext.Problems {
		problems := decodeObject(&dst.Store, n, table)
		if len(problems) == 0 {
			problems = refused(n, dst.Store.check())
		}
		return problems
	}).with(table.keys(StoreSettings{}))
}

// check refuses settings that do not go together.
func (s StoreSettings) check() error {
	switch {
	case !s.Shared():
		return errors.New(`"etcd" is missing: want the URLs of its members, such as ["https://10.0.0.1:2379"]; without "store" the state is a file, for this server alone`)
	case (s.TLS.Cert == "") != (s.TLS.Key == ""):
		return errors.New(`"tls" has only one of "cert" and "key"; want both, or neither`)
	case s.User != "" && s.PasswordFile == "":
		return errors.New(`"user" has no password; name a file that has it, as "passwordFile"`)
	}
	return nil
}

func addEndpoint(s *StoreSettings, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("%q is not the URL of a member of etcd; want one such as \"https://10.0.0.1:2379\"", text)
	}
	s.Etcd = append(s.Etcd, text)
	return nil
}

func setPrefix(s *StoreSettings, text string) error {
	s.Prefix = text
	if !strings.HasPrefix(text, "/") || len(text) > 100 || hasControl(text) {
		return fmt.Errorf("%q is not a prefix of keys in etcd; want one such as \"/cloudlets\"", text)
	}
	return nil
}

func setDHCP(s *Settings, text string) (err error) {
	s.DHCP, err = ParseDHCPService(text)
	return err
}

func setTFTP(s *Settings, text string) error {
	s.TFTP = text
	if text == "off" {
		return nil
	}
	return checkListen(text)
}

// Bounds of a TFTP block in bytes, RFC 2348.
const (
	minTFTPBlock = 8
	maxTFTPBlock = 65464
)

func setTFTPBlockSize(s *Settings, number json.Number) error {
	n, err := strconv.Atoi(number.String())
	if err != nil || n < minTFTPBlock || n > maxTFTPBlock {
		return fmt.Errorf("%s is not a block size; want 8 to 65464 bytes, such as 1400", number)
	}
	s.TFTPBlockSize = n
	return nil
}

func setRouterAdvertisement(s *Settings, text string) error {
	s.RouterAdvertisementOff = text == "off"
	if text != "off" && text != "on" {
		return fmt.Errorf("%q says nothing about router advertisements; want \"on\", which is the default, or \"off\"", text)
	}
	return nil
}

func checkListen(addr string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("%q is not an address to listen on; want host and port such as \"10.0.0.1:8080\", or \":8080\" for the address of the served interface", addr)
	}
	return nil
}

func setRouter(s *Settings, text string) (err error) {
	s.Router, err = parseIPv4(text)
	return err
}

// Bounds of a lease: RFC 2131 counts seconds in 32 bits, and leases shorter
// than a minute make the network busy with renewals.
const (
	minLease = time.Minute
	maxLease = 365 * 24 * time.Hour
)

func setLeaseTime(n *Network, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < minLease || d > maxLease {
		return fmt.Errorf("%q is not a lease time; want one between 1m and 8760h, such as \"12h\"", text)
	}
	n.LeaseTime = d
	return nil
}

// folderField reads the path of a folder or file.
func folderField[T any](site string, to func(*T) *string) field[T] {
	return textField(func(s *T, folder string) error {
		if folder != "" && !filepath.IsAbs(folder) {
			folder = filepath.Join(site, folder)
		}
		*to(s) = folder
		return nil
	})
}
