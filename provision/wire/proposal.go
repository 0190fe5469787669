package wire

import "cloudlets/provision"

// ProposalPath is where an agent says what it is about to do, before its first write, and
// again and again until it may. It proves who it is by its session.
const ProposalPath = "/agent/proposal"

// ProposalRequest is what it says.
type ProposalRequest struct {
	Proposal provision.Proposal `json:"proposal"`
	// Confirm is that of the agent's [Plan].
	Confirm bool `json:"confirm,omitempty"`
}

// ProposalAnswer tells it what to do next.
type ProposalAnswer struct {
	// Wait says why it has to ask again in a few seconds. If it is "", the agent may
	// write.
	Wait string `json:"wait,omitempty"`
}
