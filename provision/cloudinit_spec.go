package provision

// CloudInit is what a machine's cloud-init is told.
type CloudInit struct {
	// UserData and VendorData are texts in one of cloud-init's formats: "#cloud-config"
	// with YAML, a script, an archive. "" says nothing.
	UserData   string `json:"userData,omitempty"`
	VendorData string `json:"vendorData,omitempty"`
	// UserDataFile and VendorDataFile name files in the site that have such a text
	// instead. They are read each time.
	UserDataFile   string `json:"userDataFile,omitempty"`
	VendorDataFile string `json:"vendorDataFile,omitempty"`
	// SSHKeys are lines as in authorized_keys. cloud-init gives them to the image's
	// default user.
	SSHKeys []string `json:"sshKeys,omitempty"`
	// Datasource is where an installed system's cloud-init finds all this; "" means
	// [DatasourceSeed].
	Datasource Datasource `json:"datasource,omitempty"`
}

// Datasource is where cloud-init finds what it is told.
type Datasource string

// The datasources.
const (
	// DatasourceSeed has files in the installed system, which cloud-init reads without
	// a network.
	DatasourceSeed Datasource = "seed"
	// DatasourceHTTP has NoCloud ask the server at the machine's own URL.
	DatasourceHTTP Datasource = "http"
	// DatasourceEC2 asks the server by the paths of Amazon's metadata service. The
	// server knows the machine by its address.
	DatasourceEC2 Datasource = "ec2"
	// DatasourceImage leaves it to what the image has in /etc/cloud.
	DatasourceImage Datasource = "image"
)

// From returns the datasource of the installed system.
func (c *CloudInit) From() Datasource {
	if c.Datasource == "" {
		return DatasourceSeed
	}
	return c.Datasource
}

// ByAddress says whether a system with this datasource may ask the server for what it is
// told with nothing but its address.
func (d Datasource) ByAddress() bool { return d == DatasourceEC2 || d == DatasourceImage }

// Shown returns a copy for people. It is without texts, which may have passwords.
func (c *CloudInit) Shown() *CloudInit {
	if c == nil {
		return nil
	}
	shown := *c
	for _, text := range []*string{&shown.UserData, &shown.VendorData} {
		if *text != "" {
			*text = "…"
		}
	}
	return &shown
}
