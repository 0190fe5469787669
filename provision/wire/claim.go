package wire

import "cloudlets/provision"

// The server's paths for agents.
const (
	ClaimPath  = "/agent/claim"
	EventsPath = "/agent/events"
)

// ClaimRequest is what an agent sends to be told its plan.
type ClaimRequest struct {
	Token string `json:"token"`
	// Nonce lets a claim be sent again whose answer was lost.
	Nonce string `json:"nonce"`
	// MAC is the network card that the machine booted by.
	MAC       provision.MAC       `json:"mac"`
	Inventory provision.Inventory `json:"inventory"`
}
