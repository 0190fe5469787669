//go:build !agents

package agents

import "embed"

// files has none.
var files embed.FS
