package wire

import "cloudlets/provision"

// RescuePath is where the agent of a rescue asks what to start, and RescueSaidPath where
// it says how that went.
const (
	RescuePath     = "/agent/rescue"
	RescueSaidPath = "/agent/rescue/said"
)

// RescueRequest is what such an agent sends to either.
type RescueRequest struct {
	// Token is that of [provision.Booted.RescueToken].
	Token string        `json:"token"`
	MAC   provision.MAC `json:"mac"` // the network card that the machine booted by
	// Text goes to RescueSaidPath: what the agent has done. Failure says instead why it
	// started nothing.
	Text    string `json:"text,omitempty"`
	Failure string `json:"failure,omitempty"`
}

// Rescue tells an agent what to start. It names no disk to write to, and nothing that
// could be written there.
type Rescue struct {
	Image    string `json:"image"`
	Hostname string `json:"hostname"`
	// Pack has the files that are unpacked into memory.
	Pack Blob `json:"pack"`
	// Mount says that the filesystems on the machine's disks are mounted, to be read.
	Mount bool `json:"mount,omitempty"`
	// SSHKeys may log in as root; without any there is no SSH server.
	SSHKeys []string `json:"sshKeys,omitempty"`
	// Servers are the base URLs of all servers that have the pack.
	Servers []string `json:"servers,omitempty"`
}
