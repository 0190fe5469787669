package provision

import "strings"

// Power is how a machine is switched on and off from afar. It has the paths and names
// of secrets, and no secret. At most one of Redfish, IPMI, WakeOnLAN and Command is
// given; without one of them the machine cannot be switched.
type Power struct {
	// Redfish is the URL of the machine's management controller,
	// "https://10.9.0.14".
	Redfish string `json:"redfish,omitempty"`
	// IPMI is the address of the machine's management controller, with its port or
	// without: "10.9.0.14", "10.9.0.14:623".
	IPMI string `json:"ipmi,omitempty"`
	// WakeOnLAN sends the packet that wakes the machine's network cards.
	WakeOnLAN bool `json:"wakeOnLAN,omitempty"`
	// Command is a program of the user's own, and its arguments.
	Command []string `json:"command,omitempty"`
	// Console is a program of the user's own that shows the machine's console, and its
	// arguments. It counts more than the console of a controller.
	Console []string `json:"console,omitempty"`
	// User is the user at the management controller.
	User string `json:"user,omitempty"`
	// PasswordFile is the file with the user's password; one that is relative is in
	// the site. PasswordEnv is the variable in the server's environment that has it.
	PasswordFile string `json:"passwordFile,omitempty"`
	PasswordEnv  string `json:"passwordEnv,omitempty"`
	// Certificate is what a Redfish service must show: the SHA-256 fingerprint of its
	// certificate, "sha256:…", or a file in PEM form with that certificate, or with
	// those of authorities. "" means the authorities that the server's system trusts.
	Certificate string `json:"certificate,omitempty"`
	// Insecure accepts any certificate, and plain HTTP.
	Insecure bool `json:"insecure,omitempty"`
	// System is the machine's Id at a Redfish service that has several.
	System string `json:"system,omitempty"`
}

// Kind returns which way a machine is switched: "redfish", "ipmi", "wakeOnLAN",
// "command", or "" if it cannot be.
func (p *Power) Kind() string {
	switch {
	case p == nil:
	case p.Redfish != "":
		return "redfish"
	case p.IPMI != "":
		return "ipmi"
	case p.WakeOnLAN:
		return "wakeOnLAN"
	case len(p.Command) > 0:
		return "command"
	}
	return ""
}

// ConsoleKind returns what has the machine's console: "command", "ipmi", or "" if
// nothing has, and only the agent's console can be seen.
func (p *Power) ConsoleKind() string {
	switch {
	case p == nil:
	case len(p.Console) > 0:
		return "command"
	case p.IPMI != "":
		return "ipmi"
	}
	return ""
}

// Shown returns a copy for people: a command's arguments may be anything, a password
// too, and are left out.
func (p *Power) Shown() *Power {
	if p.Kind() == "" && p.ConsoleKind() == "" {
		return nil
	}
	shown := *p
	for _, words := range []*[]string{&shown.Command, &shown.Console} {
		if len(*words) > 1 {
			*words = []string{(*words)[0], "…"}
		}
	}
	return &shown
}

// At names the controller, such as "redfish https://10.9.0.14": machines that have
// the same one share it.
func (s *Spec) At() string {
	switch kind := s.Power.Kind(); kind {
	case "redfish":
		return kind + " " + strings.ToLower(strings.TrimSuffix(s.Power.Redfish, "/"))
	case "ipmi":
		return kind + " " + strings.ToLower(s.Power.IPMI)
	case "wakeOnLAN", "command":
		return kind + " " + string(s.MAC)
	}
	return ""
}
