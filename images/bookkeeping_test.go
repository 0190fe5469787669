package images

import "testing"

// TestBookkeeping checks that the paths which keep an image, or which a disk
// has beside it, are not part of the image, and that similar names elsewhere
// are.
func TestBookkeeping(t *testing.T) {
	for p, want := range map[string]bool{
		"/.git": true, "/.git/HEAD": true, "/.hg/store/data": true, "/.cloudlet/metadata": true, "/.cloudlet/.metadata.part": true,
		"/.cloudlet/preinit": true, "/.cloudlet/persistent": true, "/.cloudlet/persistent/srv": true,
		"/.cloudlet/slot": true, "/.cloudlet/slot/menu.cfg": true,
		"/": false, "/.gitignore": false, "/srv/.git": false, "/.cloudlet": false, ManifestPath: false, AppliedConfigPath: false,
		"/.cloudlet/metadata-2": false, "/.cloudlet/preinit.d": false, "/.cloudlet/slots": false, "": false,
	} {
		if got := IsBookkeeping(p); got != want {
			t.Errorf("%q: %v, want %v", p, got, want)
		}
	}
}
