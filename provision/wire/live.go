package wire

import (
	"cloudlets/images/target"
	"cloudlets/provision"
)

// LivePath is where the agent of a live machine asks what to start in memory, and
// LiveSaidPath where it says how that goes on.
const (
	LivePath     = "/agent/live"
	LiveSaidPath = "/agent/live/said"
)

// LiveRequest is what the agent of a live machine sends. No disk can be written by its
// token: there is no plan for it.
type LiveRequest struct {
	// Token is that of [provision.Booted.LiveToken], or with LiveSaidPath
	// [Live.SaidToken].
	Token string        `json:"token"`
	MAC   provision.MAC `json:"mac"` // the network card that the machine booted by
	// Nonce goes to LivePath. It lets the agent ask again if the answer was lost, and nobody
	// else.
	Nonce string `json:"nonce,omitempty"`
	// Inventory goes to LivePath.
	Inventory provision.Inventory `json:"inventory,omitzero"`
	// Text goes to LiveSaidPath: what was done. Failure says instead why nothing is
	// started.
	Text    string `json:"text,omitempty"`
	Failure string `json:"failure,omitempty"`
}

// Live is the server's answer: what to start.
type Live struct {
	Image string `json:"image"`
	// SaidToken is the token for LiveSaidPath.
	SaidToken string `json:"saidToken"`
	// Kernel is the version of the kernel that the image has, which must be the one that
	// runs: the root has its modules.
	Kernel string `json:"kernel"`
	// Init is the system's first program.
	Init string `json:"init"`
	// Root is an EROFS with the image's files, and Chunks the list of its chunks.
	Root   Blob `json:"root"`
	Chunks Blob `json:"chunks"`
	// Overlay is a pack with the machine's own files.
	Overlay []byte `json:"overlay,omitempty"`
	// Places are those of the image's persistent paths, if the machine shall have them on a
	// disk: on the persistent partition of the one that suits the hints. Without one they
	// are in memory.
	Places []target.Place      `json:"places,omitempty"`
	Disk   provision.DiskHints `json:"disk"`
	// Servers are the base URLs of all servers that have the root.
	Servers []string `json:"servers,omitempty"`
}

// ReadAheadWord begins a word of the kernel's command line. A number of seconds follows: for
// how long a live machine must have read nothing new of its root, before the rest is
// fetched. It is for people: the machine's file has it in "cmdline".
const ReadAheadWord = "cloudlets.readahead="

// MaxOverlay is how long an overlay of [Live] may be, in bytes.
const MaxOverlay = 8 << 20
