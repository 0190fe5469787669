package wire

import "cloudlets/provision"

// ConsolePath is where an agent sends what its console shows before it has claimed its
// plan.
const ConsolePath = "/agent/console"

// Bounds of a [Console]. The server drops what is beyond them.
const (
	MaxConsoleLines = 64
	MaxConsoleLine  = 512 // bytes
)

// Console is what an agent's console showed. The agent proves by its token, which it
// has not claimed yet, that the server booted it.
type Console struct {
	Token string `json:"token"`
	// MAC is the network card that the machine booted by.
	MAC   provision.MAC `json:"mac"`
	Lines []string      `json:"lines,omitempty"`
	// Failure is why the agent cannot claim its plan, if it cannot.
	Failure string `json:"failure,omitempty"`
}
