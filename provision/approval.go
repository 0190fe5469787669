package provision

// Approval makes a stranger a machine of the site: what its file shall say.
type Approval struct {
	MAC MAC `json:"mac"`
	// Profile is what the file extends. What is "" stays out of the file.
	Profile  string `json:"profile,omitempty"`
	Hostname string `json:"hostname,omitempty"`
	Image    string `json:"image,omitempty"`
	Address  string `json:"address,omitempty"`
}
