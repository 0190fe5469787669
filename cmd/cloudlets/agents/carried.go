//go:build agents

package agents

import "embed"

// files are not in this folder: command build makes them in a folder of its own, and
// lays them over this one while it builds.
//
//go:embed agent-*.zst
var files embed.FS
