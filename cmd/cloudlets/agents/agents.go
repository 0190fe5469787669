// Package agents has the programs for machines that this build of cloudlets carries.
// Command build puts them into it; a plain `go build` leaves them out, and then the
// program that runs goes to the machines itself.
package agents

import "io/fs"

// Files has a program for each architecture that is carried, "agent-amd64.zst" and the
// like, in the form that [cloudlets/images/ramdisk.Embedded] reads.
func Files() fs.FS { return files }
