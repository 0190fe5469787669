package wire

import "cloudlets/provision"

// InspectPath is where the agent on a stranger says what it found, again and again
// until it is told to go on.
const InspectPath = "/agent/inspection"

// InspectRequest is what such an agent says.
type InspectRequest struct {
	// Token is that of [provision.InspectToken].
	Token      string               `json:"token"`
	MAC        provision.MAC        `json:"mac"` // the network card that the machine booted by
	Inspection provision.Inspection `json:"inspection"`
}

// InspectAnswer tells it what to do next. One of the fields is set.
type InspectAnswer struct {
	// Wait says why the machine has to wait, for a person to read.
	Wait string `json:"wait,omitempty"`
	// Restart says why it shall start again: it is a machine of the site now, or
	// strangers are not inspected any more.
	Restart string `json:"restart,omitempty"`
}
