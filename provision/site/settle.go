package site

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// settle decides which Spec of each machine stands. A broken file leaves the
// last good one, and so does one that claims another machine's address or
// hostname: of two machines that want the same, the one that had it keeps it.
func (r *siteReader) settle(found map[provision.MAC]candidate) map[provision.MAC]provision.Spec {
	specs := make(map[provision.MAC]provision.Spec, len(found))
	taken := claims{}
	for _, mac := range r.oldestFirst(found) {
		c := found[mac]
		spec, problems := c.spec, jsontext.Problems(nil)
		if !c.broken {
			problems = taken.conflicts(c)
			r.report(problems...)
		}
		if c.broken || len(problems) > 0 {
			last, had := r.last.specs[mac]
			if !had {
				continue
			}
			spec = taken.without(last)
		}
		taken.add(spec)
		specs[mac] = spec
	}
	return specs
}

// oldestFirst puts the machines whose files say what they said before, or
// nothing legible, ahead of those that want something new.
func (r *siteReader) oldestFirst(found map[provision.MAC]candidate) []provision.MAC {
	var settled, changed []provision.MAC
	for _, mac := range slices.Sorted(maps.Keys(found)) {
		last, had := r.last.specs[mac]
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

func addressClaim(s provision.Spec) string {
	if !s.Address.IsValid() {
		return ""
	}
	return "address " + s.Address.String()
}

func hostnameClaim(s provision.Spec) string {
	if s.Hostname == "" {
		return ""
	}
	return "hostname " + strings.ToLower(s.Hostname)
}

func (c claims) add(s provision.Spec) {
	for _, claim := range []string{addressClaim(s), hostnameClaim(s)} {
		if claim != "" {
			c[claim] = s.MAC
		}
	}
}

func (c claims) conflicts(want candidate) (problems jsontext.Problems) {
	keys := map[string]string{"address": addressClaim(want.spec), "hostname": hostnameClaim(want.spec)}
	for key, claim := range keys {
		if owner, taken := c[claim]; taken {
			problem := want.at.Locate(key).Problem("%s is that of %s already; give each machine its own", claim, owner)
			if problem.File != want.file { // both may extend the profile that says it
				problem = jsontext.About(want.file, "%s", problem.Reason)
			}
			problems = append(problems, problem)
		}
	}
	return problems
}

// without takes from a Spec what another machine has by now.
func (c claims) without(s provision.Spec) provision.Spec {
	if _, taken := c[addressClaim(s)]; taken {
		s.Address = provision.Spec{}.Address
	}
	if _, taken := c[hostnameClaim(s)]; taken {
		s.Hostname = ""
	}
	return s
}

// checkImages reports machines whose image is not there. Their files stand:
// an image may well arrive after the file that names it.
func (r *siteReader) checkImages(v *view) {
	names := slices.Collect(maps.Keys(v.images))
	for _, spec := range v.specs {
		if _, there := v.imagePath(spec.Image); spec.Image != "" && !there {
			r.report(jsontext.About(spec.MAC.File(), "image %q is not in %s/: put a directory or tarball of that name there%s",
				spec.Image, imagesDir, jsontext.DidYouMean(spec.Image, names)))
		}
	}
}
