// Package systems answers the systems that machines run, from their disks or in memory. They
// say that they run, and their cloud-init asks what it is told: as NoCloud by HTTP, and by the
// paths of EC2. The files by which a system finds its way here are made here as well.
//
// Other than in the boot chain, an answer may have secrets. So who asks is known by the token
// of a system, or by its machine's address: that of a lease, or else the one that a file reserves;
// never by a guess.
package systems

import (
	"context"
	"net/http"
	"net/netip"

	"cloudlets/httpboot/machines"
	"cloudlets/httpboot/turns"
	"cloudlets/images"
	"cloudlets/provision"
	"cloudlets/provision/wire"
)

// Systems answers the systems of machines. Set its fields before you use it, and do not
// change them afterwards.
type Systems struct {
	Machines *machines.Machines
	// Holder returns the network card that has an address by its lease, or "" if none
	// has, and whether the address is held by anyone. It may be nil if this server keeps no leases.
	Holder func(context.Context, netip.Addr) (card provision.MAC, held bool, err error)
	// SiteFile reads a file of the site that a machine's file names; nil if none does.
	SiteFile func(name string) ([]byte, error)

	refusals turns.Pace // of lines about questions for metadata that had no answer
}

// Handle has a mux serve what is asked with the token of a system.
func (s *Systems) Handle(mux *http.ServeMux) {
	mux.HandleFunc("GET "+wire.RunningPath("{mac}", "{token}"), s.saysRunning)
	mux.HandleFunc("POST "+wire.RunningPath("{mac}", "{token}"), s.saysRunning)
	mux.HandleFunc("GET "+cloudInitPath("{mac}", "{token}", "{document}"), s.noCloud)
}

// Recipe is what the files were made of by which a system finds its way to the servers. It
// is part of the JSON that is kept with an install's session.
type Recipe struct {
	// Running are the URLs where the system says that it runs.
	Running []string `json:"running,omitempty"`
	// CloudInit says where its cloud-init asks; nil if it is not told.
	CloudInit *cloudInitRecipe `json:"cloudInit,omitempty"`
}

// Recipe returns the recipe of a system that a machine is about to get. servers are the URLs
// by HTTP of all servers, at least one, the one first that makes it.
func (s *Systems) Recipe(spec *provision.Spec, system *provision.System, servers []string) (r Recipe) {
	if !spec.Silent {
		r.Running = s.runningURLs(spec, system, servers)
	}
	r.CloudInit = s.cloudInitSource(spec, system, servers)
	return r
}

// Warn tells in a machine's trace what its system cannot be told, and why it will not say
// that it runs.
func (s *Systems) Warn(ctx context.Context, spec *provision.Spec, tree images.Tree) {
	s.warnOfRunning(ctx, spec, tree)
	s.warnOfCloudInit(ctx, spec, tree)
}
