package tarball

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// remarks collects what a tarball holds that no image can, and that is left out
// or changed for it.
type remarks struct {
	dropped      map[string]bool // names of extended attributes
	droppedFiles int
	clamped      string // the first file whose time was changed
	clampedFiles int
}

// maxRemarked bounds how many names a sentence has.
const maxRemarked = 5

// drop notes the extended attributes that one file loses.
func (r *remarks) drop(names []string) {
	if len(names) == 0 {
		return
	}
	if r.dropped == nil {
		r.dropped = map[string]bool{}
	}
	r.droppedFiles++
	for _, name := range names {
		if len(r.dropped) <= maxRemarked {
			r.dropped[name] = true
		}
	}
}

// clamp notes a file whose time was changed.
func (r *remarks) clamp(path string) {
	if r.clampedFiles++; r.clampedFiles == 1 {
		r.clamped = path
	}
}

// sentences say all that was noted, for a person.
func (r *remarks) sentences() []string {
	var all []string
	if r.droppedFiles > 0 {
		names := slices.Sorted(maps.Keys(r.dropped))
		if len(names) > maxRemarked {
			names = append(names[:maxRemarked], "and others")
		}
		all = append(all, fmt.Sprintf("extended attributes that Linux cannot store are left out of %s: %s", files(r.droppedFiles), strings.Join(names, ", ")))
	}
	if r.clampedFiles > 0 {
		all = append(all, fmt.Sprintf("%s of a time before the year 1 or after 9999 get the nearest of these: %s is the first", files(r.clampedFiles), r.clamped))
	}
	return all
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}
