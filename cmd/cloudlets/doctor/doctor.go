// Package doctor checks what would keep a server from serving: the host's
// network, its boot loaders, and the site's files and images. Each check is a
// [Finding].
package doctor

import (
	"fmt"
	"os"

	"cloudlets/provision/site"
)

// Finding is the result of one check.
type Finding struct {
	What string `json:"what"`
	// Problem says what is wrong and what to do. It is empty if all is well.
	Problem string `json:"problem,omitempty"`
}

// Found makes a finding of an error. If err is nil, all is well.
func Found(what string, err error) Finding {
	if err != nil {
		return Finding{what, err.Error()}
	}
	return Finding{What: what}
}

// Files checks the site's files.
func Files(site *site.Site) []Finding {
	what := fmt.Sprintf("the site %s: %d machines, %d images", site.Dir(), len(site.Specs()), len(site.Images()))
	problems := site.Problems()
	if info, err := os.Stat(site.Dir()); err != nil || !info.IsDir() {
		return []Finding{{what, "there is no such folder; make it, with images/ and machines/ in it, or name the right one with --site"}}
	}
	if len(problems) == 0 {
		return []Finding{{What: what}}
	}
	list := make([]Finding, 0, len(problems))
	for _, p := range problems {
		list = append(list, Finding{"the site's files", p.Error()})
	}
	return list
}
