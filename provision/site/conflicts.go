package site

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// specs decides which Spec of each machine stands. Where its file is broken, or
// claims another machine's address or hostname, it is the last good one. Of two
// machines that want the same, the one that had it keeps it.
func (r *siteReader) specs(found map[provision.MAC]machineFile) []provision.Spec {
	specs := make([]provision.Spec, 0, len(found))
	taken := claims{}
	for _, mac := range r.oldestFirst(found) {
		c := found[mac]
		spec, problems := c.spec, jsontext.Problems(nil)
		if !c.broken {
			problems = taken.conflicts(c)
			r.report(problems...)
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

// claims are the addresses and hostnames that machines have taken.
type claims map[string]provision.MAC

// addressClaims are the claims of a machine's addresses.
func addressClaims(s provision.Spec) (all []string) {
	if s.Address.IsValid() {
		all = append(all, "address "+s.Address.String())
	}
	for _, a := range s.MoreAddresses {
		all = append(all, "address "+a.String())
	}
	return all
}

func hostnameClaim(s provision.Spec) string {
	if s.Hostname == "" {
		return ""
	}
	return "hostname " + strings.ToLower(s.Hostname)
}

func (c claims) add(s provision.Spec) {
	for _, claim := range append(addressClaims(s), hostnameClaim(s)) {
		if claim != "" {
			c[claim] = s.MAC
		}
	}
}

func (c claims) conflicts(want machineFile) (problems jsontext.Problems) {
	wanted := map[string]jsontext.Problem{hostnameClaim(want.spec): want.hostname}
	for _, claim := range addressClaims(want.spec) {
		wanted[claim] = want.address
	}
	for claim, at := range wanted {
		owner, taken := c[claim]
		if !taken {
			continue
		}
		problem := jsontext.About(want.file, "%s is that of %s already; give each machine its own", claim, owner)
		if at.File == want.file { // both machines may extend the profile that says it
			problem.Line, problem.Column = at.Line, at.Column
		}
		problems = append(problems, problem)
	}
	return problems
}

// without takes from a Spec what another machine has by now.
func (c claims) without(s provision.Spec) provision.Spec {
	for _, claim := range addressClaims(s) {
		if _, taken := c[claim]; taken {
			s.Address, s.MoreAddresses = provision.Spec{}.Address, nil
		}
	}
	if _, taken := c[hostnameClaim(s)]; taken {
		s.Hostname = ""
	}
	return s
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
		if !slices.ContainsFunc(networks, func(n Network) bool { return n.Subnet.Contains(a) }) {
			r.report(jsontext.About(mac.File(), "address %s is in the subnet of no network in %s: change it, or add its network there", a, SettingsFile))
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
			r.report(jsontext.About(mac.File(), "image %q is not in %s/: put a directory or tarball of that name there%s", image, imagesDir, hint))
		}
	}
}
