// Package machinestest is for tests alone: a site without files.
package machinestest

import (
	"net/netip"
	"slices"
	"sync"

	"cloudlets/provision"
)

// Site is a machines.Site without files. The zero value has no machines.
type Site struct {
	mu    sync.Mutex
	specs map[provision.MAC]provision.Spec
	// Reread is what another reading of its files does; may be nil.
	Reread func()
}

// Put sets what the site says of a machine.
func (s *Site) Put(spec provision.Spec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.specs == nil {
		s.specs = make(map[provision.MAC]provision.Spec)
	}
	s.specs[spec.MAC] = spec
}

// Remove takes a machine out of the site.
func (s *Site) Remove(mac provision.MAC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.specs, mac)
}

// Refresh is as machines.Site wants it.
func (s *Site) Refresh() {
	if s.Reread != nil {
		s.Reread()
	}
}

// Spec is as machines.Site wants it.
func (s *Site) Spec(mac provision.MAC) (provision.Spec, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	spec, ok := s.specs[mac]
	return spec, ok
}

// Machine is as machines.Site wants it.
func (s *Site) Machine(card provision.MAC) provision.MAC {
	for _, spec := range s.Specs() {
		if slices.Contains(spec.Cards, card) {
			return spec.MAC
		}
	}
	return card
}

// Has is as machines.Site wants it.
func (s *Site) Has(mac provision.MAC) bool {
	_, ok := s.Spec(mac)
	return ok
}

// ByName is as machines.Site wants it.
func (s *Site) ByName(name string) (found []provision.MAC) {
	for _, spec := range s.Specs() {
		if spec.Hostname == name {
			found = append(found, spec.MAC)
		}
	}
	return found
}

// ByUUID is as machines.Site wants it.
func (s *Site) ByUUID(uuid provision.UUID) (provision.MAC, bool) {
	for _, spec := range s.Specs() {
		if uuid != "" && spec.UUID == uuid {
			return spec.MAC, true
		}
	}
	return "", false
}

// ByAddress is as machines.Site wants it.
func (s *Site) ByAddress(addr netip.Addr) (provision.MAC, bool) {
	for _, spec := range s.Specs() {
		if spec.Address == addr {
			return spec.MAC, true
		}
	}
	return "", false
}

// ByImage is as machines.Site wants it.
func (s *Site) ByImage(image string) (macs []provision.MAC) {
	for _, spec := range s.Specs() {
		if spec.Image == image {
			macs = append(macs, spec.MAC)
		}
	}
	return macs
}

// Specs are all machines.
func (s *Site) Specs() []provision.Spec {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []provision.Spec
	for _, spec := range s.specs {
		list = append(list, spec)
	}
	return list
}
