package site

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/provision/site/keys"
)

// specs decides which Spec of each machine stands. Where its file is broken, or
// claims another machine's address, hostname, UUID or network card, it is the last good
// one. Of two machines that want the same, the one that had it keeps it. But a file's
// own name always counts: no other file has that card.
func (r *siteReader) specs(found map[provision.MAC]machineFile) []provision.Spec {
	specs := make([]provision.Spec, 0, len(found))
	taken := make(claims, len(found))
	for mac := range found {
		taken[cardClaim(mac)] = mac
	}
	for _, mac := range r.oldestFirst(found) {
		c := found[mac]
		spec, problems := c.spec, jsontext.Problems(nil)
		if !c.broken {
			problems = taken.conflicts(c, found)
			r.reportOf(mac, problems...)
		}
		if c.broken || len(problems) > 0 {
			last, had := r.last.machines.spec(mac)
			if !had {
				continue
			}
			spec = taken.without(last)
		}
		taken.add(spec)
		specs = append(specs, spec)
	}
	return specs
}

// oldestFirst puts the machines whose files say what they said before, or are
// broken, ahead of those that want something new.
func (r *siteReader) oldestFirst(found map[provision.MAC]machineFile) []provision.MAC {
	var settled, changed []provision.MAC
	for _, mac := range slices.Sorted(maps.Keys(found)) {
		last, had := r.last.machines.spec(mac)
		if had && (found[mac].broken || reflect.DeepEqual(last, found[mac].spec)) {
			settled = append(settled, mac)
		} else {
			changed = append(changed, mac)
		}
	}
	return append(settled, changed...)
}

// claims are the addresses, hostnames, UUIDs and network cards that machines have taken.
type claims map[claim]provision.MAC

// claim is something that only one machine can have.
type claim struct{ what, value string }

// addressClaims are the claims of a machine's addresses.
func addressClaims(s provision.Spec) (all []claim) {
	if s.Address.IsValid() {
		all = append(all, claim{"address", s.Address.String()})
	}
	for _, a := range s.MoreAddresses {
		all = append(all, claim{"address", a.String()})
	}
	return all
}

func hostnameClaim(s provision.Spec) claim {
	return claim{"hostname", strings.ToLower(s.Hostname)}
}

func uuidClaim(s provision.Spec) claim { return claim{"UUID", string(s.UUID)} }

func cardClaim(mac provision.MAC) claim { return claim{"network card", string(mac)} }

func (c claims) add(s provision.Spec) {
	for _, of := range addressClaims(s) {
		c[of] = s.MAC
	}
	c[hostnameClaim(s)] = s.MAC
	c[uuidClaim(s)] = s.MAC
	for _, card := range s.Cards {
		c[cardClaim(card)] = s.MAC
	}
}

// owner is the other machine that has taken something, if one has.
func (c claims) owner(of claim, mac provision.MAC) (provision.MAC, bool) {
	owner, taken := c[of]
	return owner, taken && of.value != "" && owner != mac
}

// conflicts tells what a machine's file wants that another machine has taken. found
// has both files.
func (c claims) conflicts(want machineFile, found map[provision.MAC]machineFile) (problems jsontext.Problems) {
	check := func(of claim, at jsontext.Problem) {
		owner, taken := c.owner(of, want.spec.MAC)
		if !taken {
			return
		}
		problem := jsontext.About(want.file, "%s %s is that of %s already, see %s; give each machine its own", of.what, of.value, owner, describedBy(owner, found))
		if at.File == want.file { // both machines may extend the profile that says it
			problem.Line, problem.Column = at.Line, at.Column
		}
		problems = append(problems, problem)
	}
	for _, of := range addressClaims(want.spec) {
		check(of, want.address)
	}
	check(hostnameClaim(want.spec), want.hostname)
	check(uuidClaim(want.spec), want.uuid)
	for _, card := range want.spec.Cards {
		check(cardClaim(card), want.cards)
	}
	return problems
}

// describedBy is the file that describes a machine.
func describedBy(mac provision.MAC, found map[provision.MAC]machineFile) string {
	if file := found[mac].file; file != "" {
		return file
	}
	return mac.File()
}

// without takes from a Spec what another machine has by now.
func (c claims) without(s provision.Spec) provision.Spec {
	for _, of := range addressClaims(s) {
		if _, taken := c.owner(of, s.MAC); taken {
			s.Address, s.MoreAddresses = provision.Spec{}.Address, nil
		}
	}
	if _, taken := c.owner(hostnameClaim(s), s.MAC); taken {
		s.Hostname = ""
	}
	if _, taken := c.owner(uuidClaim(s), s.MAC); taken {
		s.UUID = ""
	}
	s.Cards = slices.DeleteFunc(slices.Clone(s.Cards), func(card provision.MAC) bool {
		_, taken := c.owner(cardClaim(card), s.MAC)
		return taken
	})
	return s
}

// fileOf is the file that describes a machine of the site.
func (r *siteReader) fileOf(mac provision.MAC) string {
	if file, in := r.grouped[mac]; in {
		return file
	}
	return mac.File()
}

// checkAddresses reports reserved addresses that are in no network's subnet. The
// files stand: the machine gets an address of the pool. Without "networks" the
// subnet is not known here.
func (r *siteReader) checkAddresses(v *view) {
	networks := v.settings.Networks
	if len(networks) == 0 {
		return
	}
	for a, mac := range v.machines.byAddress {
		if !slices.ContainsFunc(networks, func(n keys.Network) bool { return n.Subnet.Contains(a) }) {
			r.reportOf(mac, jsontext.About(r.fileOf(mac), "address %s is in the subnet of no network in %s: change it, or add its network there", a, SettingsFile))
		}
	}
}

// checkImages reports machines whose image is not there. Their files stand:
// an image may well arrive after the file that names it.
func (r *siteReader) checkImages(v *view) {
	names := slices.Collect(maps.Keys(v.images))
	for image, machines := range v.machines.byImage {
		if _, there := v.imagePath(image); there {
			continue
		}
		hint := jsontext.DidYouMean(image, names)
		for _, mac := range machines {
			r.reportOf(mac, jsontext.About(r.fileOf(mac), "image %q is not in %s/: put a directory or tarball of that name there%s", image, imagesDir, hint))
		}
	}
	for i := range v.machines.specs {
		s := &v.machines.specs[i]
		if s.Boot == nil || s.Boot.Image == "" {
			continue
		}
		if _, there := v.imagePath(s.Boot.Image); !there {
			hint := jsontext.DidYouMean(s.Boot.Image, names)
			r.reportOf(s.MAC, jsontext.About(s.File(), "\"boot\" names the kernel of %q, which is not in %s/: put a directory or tarball of that name there%s", s.Boot.Image, imagesDir, hint))
		}
	}
}
